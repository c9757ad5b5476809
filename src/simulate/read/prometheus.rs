//! The answer of Prometheus to a range query, series after series: the answer as a whole need not fit the memory twice.

use std::{collections::HashMap, fmt, io::Read};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{super::trace::Recorder, FileError, Queried};
use crate::share::Resource;

pub fn read(
    recorder: &mut Recorder,
    file: &str,
    queried: Queried,
    from: impl Read,
) -> Result<(), FileError> {
    let mut json = serde_json::Deserializer::from_reader(std::io::BufReader::new(from));
    let answer = Answer { recorder, queried };
    answer.deserialize(&mut json).map_err(|error| FileError::json(file, &error))
}

/// One of the nested parts of an answer.
struct Answer<'r> {
    recorder: &'r mut Recorder,
    queried: Queried,
}

struct Data<'r>(Answer<'r>);

struct Series<'r>(Answer<'r>);

#[derive(serde::Deserialize)]
struct OneSeries {
    metric: HashMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

impl<'de> DeserializeSeed<'de> for Answer<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Answer<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an answer of Prometheus: {\"status\": \"success\", \"data\": ...}")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let Self { recorder, queried } = self;
        let mut there = false;
        while let Some(key) = map.next_key::<String>()? {
            match &*key {
                "status" => {
                    let status: String = map.next_value()?;
                    if status != "success" {
                        return Err(M::Error::custom(format!(
                            "the status of the query is {status:?}: run it again"
                        )));
                    }
                }
                "data" => {
                    map.next_value_seed(Data(Answer { recorder: &mut *recorder, queried }))?;
                    there = true;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if there { Ok(()) } else { Err(M::Error::custom("it has no data")) }
    }
}

impl<'de> DeserializeSeed<'de> for Data<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Data<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the data of an answer: {\"resultType\": \"matrix\", \"result\": [...]}")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let Answer { recorder, queried } = self.0;
        while let Some(key) = map.next_key::<String>()? {
            match &*key {
                "resultType" => {
                    let kind: String = map.next_value()?;
                    if kind != "matrix" {
                        return Err(M::Error::custom(format!(
                            "it is a {kind}: query /api/v1/query_range, which answers with a matrix"
                        )));
                    }
                }
                "result" => {
                    map.next_value_seed(Series(Answer { recorder: &mut *recorder, queried }))?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Series<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Series<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("series, each with a metric and values")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut all: S) -> Result<(), S::Error> {
        let Answer { recorder, queried } = self.0;
        while let Some(series) = all.next_element::<OneSeries>()? {
            series.record(recorder, queried).map_err(S::Error::custom)?;
        }
        Ok(())
    }
}

impl OneSeries {
    fn record(self, recorder: &mut Recorder, queried: Queried) -> Result<(), String> {
        let Self { metric, values } = self;
        let label = |name: &str| {
            let found = metric.get(name).filter(|it| !it.is_empty());
            found.ok_or_else(|| {
                format!("a series has no label {name}: query sums by (namespace, pod)")
            })
        };
        let (namespace, pod) = (label("namespace")?, label("pod")?);
        let name = metric.get("__name__").map_or("", String::as_str);
        let resource = match queried {
            Queried::Cpu => Resource::Cpu,
            Queried::Memory => Resource::Memory,
            Queried::AsNamed if name.contains("memory") => Resource::Memory,
            Queried::AsNamed if name.contains("cpu") => Resource::Cpu,
            Queried::AsNamed => {
                return Err(
                    "nothing shows whether this is CPU or memory: name the file cpu.json or \
                     memory.json"
                        .to_owned(),
                );
            }
        };
        for (at, value) in values {
            let amount: f64 =
                value.parse().map_err(|_| format!("{value:?} is not a number, at {at}"))?;
            let taken = recorder.record_amount(namespace, pod, at, resource, amount);
            taken.ok_or_else(|| format!("{at} is not a time in seconds since 1970"))?;
        }
        Ok(())
    }
}
