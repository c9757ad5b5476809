use super::*;
use crate::{share::PerResource, simulate::trace::Trace};

fn reads(form: Form, files: &[(&str, &str)]) -> Result<Trace, String> {
    let mut recorder = Recorder::default();
    for (name, text) in files {
        let form = form_of(name, text).unwrap_or(form);
        let result = read(&mut recorder, name, form, text.as_bytes(), &mut |_| true);
        result.map_err(|error| error.to_string())?;
    }
    recorder.finish(None).ok_or_else(|| "there is no sample".to_owned())
}

/// The first sample of each pod: millicores and MiB.
fn first(trace: &Trace) -> Vec<(&str, Option<u64>, Option<u64>)> {
    let sample = |pod: &super::super::trace::TracedPod| pod.samples[0];
    let pods = trace.pods.iter();
    pods.map(|pod| (&*pod.name, sample(pod).cpu(), sample(pod).memory().map(|it| it >> 20)))
        .collect()
}

#[test]
fn a_table_is_read_by_the_names_of_its_columns() {
    let text = "pod,time,cpu,memory,namespace,cpu_request,labels,colour\n\
                web-1,2026-01-31T12:00:00Z,0.25,64Mi,shop,500m,app=web; tier=front,red\n\
                web-1,1769860860,300m,67108864,shop,,,\n\
                web-2,1769860800000,1,,shop,,,\n";
    let trace = reads(Form::Csv, &[("usage.csv", text)]).unwrap();
    assert_eq!((trace.start, trace.step, trace.steps), (1_769_860_800, 60, 2));
    assert_eq!(first(&trace), [("web-1", Some(250), Some(64)), ("web-2", Some(1000), None)]);
    let facts = &trace.pods[0].facts;
    assert_eq!(facts.requests, PerResource { cpu: Some(500), memory: None });
    assert_eq!(facts.labels["tier"], "front");
}

#[test]
fn what_is_wrong_with_a_table_is_said_with_its_line_and_column() {
    let header = "time,namespace,pod,cpu,memory\n";
    let wrong =
        |rest: &str| reads(Form::Csv, &[("u.csv", &format!("{header}{rest}"))]).unwrap_err();
    assert_eq!(
        wrong("1,shop,a,1,1\n2,shop,a,1,12Q\n"),
        "u.csv, line 3, column 5 (memory): \"12Q\" is not a quantity: write a number with a suffix, such as 250m, 2, 512Mi or 4G"
    );
    assert_eq!(
        wrong("noon,shop,a,1,1\n"),
        "u.csv, line 2, column 1 (time): \"noon\" is not a time: write seconds since 1970, or 2026-01-31T12:00:00Z"
    );
    assert_eq!(wrong("1,,a,1,1\n"), "u.csv, line 2, column 2 (namespace): it is empty");
    assert_eq!(
        wrong("1,shop,a,-1,1\n"),
        "u.csv, line 2, column 4 (cpu): \"-1\" is not an amount of cpu: write zero or more"
    );
    assert_eq!(wrong("1,shop,a,1\n"), "u.csv, line 2: it has 4 columns, but the first line has 5");
    let without = |text: &str| reads(Form::Csv, &[("u.csv", text)]).unwrap_err();
    assert_eq!(
        without("time,pod,cpu\n"),
        "u.csv, line 1: there is no column namespace: name the columns in the first line: time,namespace,pod,cpu,memory"
    );
    assert_eq!(
        without(""),
        "u.csv, line 1: it is empty: begin it with time,namespace,pod,cpu,memory"
    );
    assert_eq!(without(header), "there is no sample");
}

#[test]
fn answers_of_prometheus_are_put_together() {
    let answer = |name: &str, values: &str| {
        format!(
            r#"{{"status":"success","data":{{"resultType":"matrix","result":[
               {{"metric":{{"__name__":"{name}","namespace":"shop","pod":"web-1"}},"values":[{values}]}}]}}}}"#
        )
    };
    let cpu = answer("", r#"[1769860800,"0.25"],[1769860815,"NaN"],[1769860830,"0.5"]"#);
    let memory = answer("container_memory_working_set_bytes", r#"[1769860800,"67108864"]"#);
    let files = [("cpu.json", &*cpu), ("answer.json", &*memory)];
    let trace = reads(Form::Csv, &files).unwrap();
    assert_eq!(first(&trace), [("web-1", Some(250), Some(64))]);
    assert!(
        reads(Form::Csv, &[("answer.json", &*cpu)]).unwrap_err().contains("name the file cpu.json")
    );
    let failed = r#"{"status":"error","error":"too many samples"}"#;
    let said = reads(Form::Csv, &[("cpu.json", failed)]).unwrap_err();
    assert!(said.starts_with("cpu.json, line 1, column "), "{said}");
    let cut = &cpu[..cpu.len() - 9];
    assert!(reads(Form::Csv, &[("cpu.json", cut)]).unwrap_err().contains("EOF"), "{cut}");
}

#[test]
fn the_published_traces_are_read_in_their_layouts() {
    let azure = reads(
        Form::Csv,
        &[
            ("vmtable.csv", "vm/1,sub,dep+A,0,600,90,50,80,Interactive,4,>64\n"),
            (
                "vm_cpu_readings-file-1-of-195.csv",
                "0,vm/1,10,90,50\n300,vm/1,0,1,25\n300,vm/2,0,1,1\n",
            ),
        ],
    )
    .unwrap();
    assert_eq!((azure.step, azure.steps), (300, 2));
    assert_eq!(first(&azure), [("vm1", Some(2000), None)]);
    assert_eq!(azure.pods[0].facts.limits.memory, Some(128 << 30));
    assert_eq!(azure.pods[0].facts.labels["app"], "depa");

    let google = reads(
        Form::Csv,
        &[
            ("instance_events-000.json", r#"{"collection_id":"7","instance_index":"1","resource_request":{"cpus":0.5,"memory":0.25}}"#),
            ("instance_usage-000.json", r#"{"start_time":"300000000","end_time":"600000000","collection_id":7,"instance_index":1,"machine_id":"42","average_usage":{"cpus":0.25,"memory":0.125}}"#),
        ],
    )
    .unwrap();
    assert_eq!(first(&google), [("7-1", Some(16_000), Some(32 << 10))]);
    let facts = &google.pods[0].facts;
    assert_eq!((facts.requests.cpu, facts.node.as_deref()), (Some(32_000), Some("42")));

    let alibaba = reads(
        Form::Csv,
        &[
            ("container_meta.csv", "c_1,m_2,0,app_3,started,400,800,1.56\n"),
            ("container_usage.csv", "c_1,m_2,60,25,50,,,,,,\nc_1,m_2,120,,50,,,,,,\n"),
        ],
    )
    .unwrap();
    assert_eq!(first(&alibaba), [("c1", Some(1000), Some(3067))]);
    assert_eq!(alibaba.pods[0].at(1).map(|it| it.cpu()), Some(None));
}

#[test]
fn what_is_wrong_with_a_published_trace_is_said_with_its_line_and_column() {
    let said = |files: &[(&str, &str)]| reads(Form::Csv, files).unwrap_err();
    assert_eq!(
        said(&[("vm_cpu_readings-1.csv", "0,vm1,10,90,50\n")]),
        "vm_cpu_readings-1.csv, line 1, column 2 (id): name vmtable.csv before it: that has the sizes of these"
    );
    let table = ("vmtable.csv", "vm1,sub,dep,0,600,90,50,80,x,4,8\n");
    assert_eq!(
        said(&[table, ("vm_cpu_readings-1.csv", "0,vm1,10,90,50\n300,vm1,1,2\n")]),
        "vm_cpu_readings-1.csv, line 2, column 5 (avg cpu): it is empty"
    );
    let usage = r#"{"start_time":"3000","collection_id":"seven"}"#;
    let broken = said(&[("instance_usage.json", usage)]);
    assert!(broken.starts_with("instance_usage.json, line 1, column "), "{broken}");
    assert!(broken.ends_with("\"seven\" is not a whole number"), "{broken}");
}
