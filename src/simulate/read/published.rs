//! Traces of large clusters that were published, in the layout that they were published in. They say less than Kubernetes does: what
//! is not in them is made up here, and documented.

use std::{
    fmt,
    io::{BufRead, BufReader, Read},
    str::FromStr,
};

use csv::{ReaderBuilder, StringRecord};
use serde::{
    Deserialize,
    de::{Deserializer, Error, Visitor},
};

use super::{
    super::trace::{Facts, Recorder, rounded, within},
    FileError,
};
use crate::share::PerResource;

const AZURE: &str = "azure";
const GOOGLE: &str = "google";
const ALIBABA: &str = "alibaba";

/// Azure: what is taken for machines of more than 24 cores, and of more than 64 GB.
const LARGE_CORES: u64 = 32;
const LARGE_GB: u64 = 128;
/// Google: amounts are parts of the largest machine, which is taken to have 64 cores and 256 GiB.
const LARGEST: PerResource<f64> = PerResource { cpu: 64_000.0, memory: (256u64 << 30) as f64 };
/// Alibaba: memory is in parts of a hundred of a machine, which is taken to have 384 GiB: 4 for each of its 96 cores.
const MACHINE_MEMORY: f64 = (384u64 << 30) as f64;
const MICROS: f64 = 1e6;
/// So many lines are read before it is told how far it came.
const LINES: u64 = 100_000;

/// A file of a trace that was published.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Published {
    /// The virtual machines of Azure's trace of 2019.
    AzureMachines,
    /// What these used.
    AzureReadings,
    /// What instances of Google's trace of 2019 requested, as lines of JSON.
    GoogleEvents,
    /// What these used, as lines of JSON.
    GoogleUsage,
    /// The containers of Alibaba's trace of 2018.
    AlibabaContainers,
    /// What these used.
    AlibabaUsage,
}

/// What the names of these files contain.
const NAMES: [(&str, Published); 6] = [
    ("vmtable", Published::AzureMachines),
    ("vm_cpu_readings", Published::AzureReadings),
    ("instance_events", Published::GoogleEvents),
    ("instance_usage", Published::GoogleUsage),
    ("container_meta", Published::AlibabaContainers),
    ("container_usage", Published::AlibabaUsage),
];

impl Published {
    /// The file of that name, in lower case, if it is one.
    pub(super) fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(part, _)| name.contains(part)).map(|(_, published)| *published)
    }
}

pub fn read(
    recorder: &mut Recorder,
    file: &str,
    published: Published,
    from: impl Read,
    note: &mut dyn FnMut(u64) -> bool,
) -> Result<(), FileError> {
    match published {
        Published::AzureMachines => lines(file, from, note, |line| azure_machine(recorder, &line)),
        Published::AzureReadings => lines(file, from, note, |line| azure_reading(recorder, &line)),
        Published::AlibabaContainers => lines(file, from, note, |line| container(recorder, &line)),
        Published::AlibabaUsage => lines(file, from, note, |line| container_usage(recorder, &line)),
        Published::GoogleEvents => json_lines(file, from, note, |line| instance(recorder, line)),
        Published::GoogleUsage => {
            json_lines(file, from, note, |line| instance_usage(recorder, line))
        }
    }
}

/// A line of a table without a header.
struct Line<'r> {
    file: &'r str,
    record: &'r StringRecord,
}

impl Line<'_> {
    fn text(&self, column: usize, name: &str) -> Result<&str, FileError> {
        let field = self.record.get(column).map(str::trim).filter(|field| !field.is_empty());
        field.ok_or_else(|| self.wrong(column, name, "it is empty"))
    }

    fn number<T: FromStr>(&self, column: usize, name: &str) -> Result<T, FileError> {
        let text = self.text(column, name)?;
        text.parse().map_err(|_| self.wrong(column, name, &format!("{text:?} is not a number")))
    }

    fn time(&self, column: usize, name: &str) -> Result<u32, FileError> {
        let seconds: f64 = self.number(column, name)?;
        within(seconds).ok_or_else(|| self.wrong(column, name, "it is not a time"))
    }

    fn wrong(&self, column: usize, name: &str, problem: &str) -> FileError {
        let line = self.record.position().map_or(0, csv::Position::line);
        let column = Some((column + 1, name.to_owned()));
        FileError { column, ..FileError::line(self.file, line, problem) }
    }
}

fn lines(
    file: &str,
    from: impl Read,
    note: &mut dyn FnMut(u64) -> bool,
    mut each: impl FnMut(Line) -> Result<(), FileError>,
) -> Result<(), FileError> {
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(from);
    let mut record = StringRecord::new();
    let mut count = 0;
    while reader.read_record(&mut record).map_err(|error| FileError::csv(file, &error))? {
        each(Line { file, record: &record })?;
        count += 1;
        let so_far = record.position().map_or(0, csv::Position::byte);
        if count % LINES == 0 && !note(so_far) {
            break;
        }
    }
    Ok(())
}

fn json_lines<T: for<'de> Deserialize<'de>>(
    file: &str,
    from: impl Read,
    note: &mut dyn FnMut(u64) -> bool,
    mut each: impl FnMut(T) -> Option<()>,
) -> Result<(), FileError> {
    let mut reader = BufReader::new(from);
    let (mut text, mut number, mut so_far) = (String::new(), 0, 0);
    loop {
        text.clear();
        number += 1;
        let read = reader.read_line(&mut text);
        let read = read.map_err(|error| FileError::line(file, number, &error.to_string()))?;
        if read == 0 {
            return Ok(());
        }
        so_far += read as u64;
        if text.trim().is_empty() {
            continue;
        }
        let value = serde_json::from_str(&text)
            .map_err(|error| FileError { line: number, ..FileError::json(file, &error) })?;
        each(value).ok_or_else(|| FileError::line(file, number, "its time is not valid"))?;
        if number % LINES == 0 && !note(so_far) {
            return Ok(());
        }
    }
}

/// vmId, subscriptionId, deploymentId, created, deleted, maxCpu, avgCpu, p95MaxCpu, category, cores, memory in GB.
fn azure_machine(recorder: &mut Recorder, line: &Line) -> Result<(), FileError> {
    let size = |column, name, large: u64| {
        let text = line.text(column, name)?;
        match text.strip_prefix('>') {
            Some(_) => Ok(large),
            None => line.number::<u64>(column, name),
        }
    };
    let cores = size(9, "vm virtual core count bucket", LARGE_CORES)?;
    let gigabytes = size(10, "vm memory bucket", LARGE_GB)?;
    let amounts = PerResource {
        cpu: Some(cores.saturating_mul(1000)),
        memory: Some(gigabytes.saturating_mul(1 << 30)),
    };
    let facts = Facts {
        labels: [("app".to_owned(), short(line.text(2, "deployment id")?))].into(),
        // A virtual machine has what it requested, and no more.
        requests: amounts,
        limits: amounts,
        node: None,
    };
    recorder.describe(AZURE, &short(line.text(0, "vm id")?), facts);
    Ok(())
}

/// timestamp, vmId, minCpu, maxCpu, avgCpu: in percent of its cores.
fn azure_reading(recorder: &mut Recorder, line: &Line) -> Result<(), FileError> {
    let machine = short(line.text(1, "vm id")?);
    let Some(cores) = size_of(recorder, AZURE, &machine, line, 1)?.cpu else { return Ok(()) };
    let percent: f64 = line.number(4, "avg cpu")?;
    let cpu = rounded(percent / 100.0 * cores as f64);
    let at = line.time(0, "timestamp")?;
    recorder.record(AZURE, &machine, at, PerResource { cpu, memory: None });
    Ok(())
}

/// What a machine or a container has. Nothing for one that is not among those that were named: a part of them may be looked at.
fn size_of(
    recorder: &Recorder,
    namespace: &str,
    pod: &str,
    line: &Line,
    column: usize,
) -> Result<PerResource<Option<u64>>, FileError> {
    match recorder.known(namespace, pod) {
        Some(facts) => Ok(facts.requests),
        None if recorder.is_empty() => {
            let table = if namespace == AZURE { "vmtable.csv" } else { "container_meta.csv" };
            Err(line.wrong(
                column,
                "id",
                &format!("name {table} before it: that has the sizes of these"),
            ))
        }
        None => Ok(PerResource::default()),
    }
}

/// container_id, machine_id, time_stamp, app_du, status, cpu_request, cpu_limit, mem_size: 100 is one core, and one machine's memory.
fn container(recorder: &mut Recorder, line: &Line) -> Result<(), FileError> {
    let cpu = |column, name| line.number::<u64>(column, name).map(|it| it.saturating_mul(10));
    let memory: f64 = line.number(7, "mem_size")?;
    let memory = rounded(memory / 100.0 * MACHINE_MEMORY);
    let facts = Facts {
        labels: [("app".to_owned(), short(line.text(3, "app_du")?))].into(),
        node: Some(short(line.text(1, "machine_id")?)),
        requests: PerResource { cpu: Some(cpu(5, "cpu_request")?), memory },
        limits: PerResource { cpu: Some(cpu(6, "cpu_limit")?), memory },
    };
    recorder.describe(ALIBABA, &short(line.text(0, "container_id")?), facts);
    Ok(())
}

/// container_id, machine_id, time_stamp, cpu_util_percent, mem_util_percent, and more: in percent of what it requested.
fn container_usage(recorder: &mut Recorder, line: &Line) -> Result<(), FileError> {
    let name = short(line.text(0, "container_id")?);
    let size = size_of(recorder, ALIBABA, &name, line, 0)?;
    if size == PerResource::default() {
        return Ok(());
    }
    // A field is empty where the value was not measured.
    let part = |column, name, of: Option<u64>| -> Result<Option<u64>, FileError> {
        if line.record.get(column).is_none_or(str::is_empty) {
            return Ok(None);
        }
        let percent: f64 = line.number(column, name)?;
        Ok(of.and_then(|of| rounded(percent / 100.0 * of as f64)))
    };
    let used = PerResource {
        cpu: part(3, "cpu_util_percent", size.cpu)?,
        memory: part(4, "mem_util_percent", size.memory)?,
    };
    recorder.record(ALIBABA, &name, line.time(2, "time_stamp")?, used);
    Ok(())
}

/// Parts of the largest machine.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Parts {
    cpus: Option<f64>,
    memory: Option<f64>,
}

#[derive(Deserialize)]
struct InstanceEvent {
    #[serde(deserialize_with = "whole_number")]
    collection_id: i64,
    #[serde(deserialize_with = "whole_number", default)]
    instance_index: i64,
    resource_request: Option<Parts>,
}

#[derive(Deserialize)]
struct InstanceUsage {
    #[serde(deserialize_with = "whole_number")]
    start_time: i64,
    #[serde(deserialize_with = "whole_number")]
    collection_id: i64,
    #[serde(deserialize_with = "whole_number", default)]
    instance_index: i64,
    #[serde(deserialize_with = "whole_number", default)]
    machine_id: i64,
    average_usage: Option<Parts>,
}

fn instance(recorder: &mut Recorder, event: InstanceEvent) -> Option<()> {
    let InstanceEvent { collection_id, instance_index, resource_request } = event;
    if let Some(request) = resource_request {
        let facts = recorder.facts(GOOGLE, &instance_name(collection_id, instance_index));
        facts.requests = request.amounts();
    }
    Some(())
}

fn instance_usage(recorder: &mut Recorder, usage: InstanceUsage) -> Option<()> {
    let InstanceUsage { start_time, collection_id, instance_index, machine_id, average_usage } =
        usage;
    let at = within(start_time as f64 / MICROS)?;
    let name = instance_name(collection_id, instance_index);
    recorder.record(GOOGLE, &name, at, average_usage.unwrap_or_default().amounts());
    let facts = recorder.facts(GOOGLE, &name);
    if facts.labels.is_empty() {
        facts.labels.insert("app".to_owned(), collection_id.to_string());
        facts.node = (machine_id > 0).then(|| machine_id.to_string());
    }
    Some(())
}

fn instance_name(collection: i64, index: i64) -> String {
    format!("{collection}-{index}")
}

impl Parts {
    /// In millicores and bytes.
    fn amounts(self) -> PerResource<Option<u64>> {
        PerResource {
            cpu: self.cpus.and_then(|it| rounded(it * LARGEST.cpu)),
            memory: self.memory.and_then(|it| rounded(it * LARGEST.memory)),
        }
    }
}

/// A whole number, which this trace writes as a text, as exports of large numbers do.
fn whole_number<'de, D: Deserializer<'de>>(json: D) -> Result<i64, D::Error> {
    struct Whole;
    impl Visitor<'_> for Whole {
        type Value = i64;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a whole number")
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
            Ok(number)
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
            i64::try_from(number).map_err(E::custom)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<i64, E> {
            text.parse().map_err(|_| E::custom(format!("{text:?} is not a whole number")))
        }

        fn visit_unit<E: Error>(self) -> Result<i64, E> {
            Ok(0)
        }
    }
    json.deserialize_any(Whole)
}

/// A name as Kubernetes takes it: the letters and digits of an id, the first sixteen of them.
fn short(id: &str) -> String {
    let letters = id.chars().filter(char::is_ascii_alphanumeric);
    letters.take(16).map(|it| it.to_ascii_lowercase()).collect()
}
