//! CSV with a header. The columns come in any order, and only some of them must be there.

use std::io::Read;

use csv::{ReaderBuilder, StringRecord};
use k8s_openapi::jiff::Timestamp;

use super::{
    super::trace::{Recorder, UNIT, rounded, within},
    FileError,
};
use crate::share::{Bytes, MilliCpu, PerResource, Resource};

/// So many lines are read before it is told how far it came.
const LINES: u64 = 100_000;

/// The columns that are known, with their names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Column {
    Time,
    Namespace,
    Pod,
    Used(Resource),
    Request(Resource),
    Limit(Resource),
    Node,
    Labels,
}

const COLUMNS: [(&str, Column); 11] = [
    ("time", Column::Time),
    ("namespace", Column::Namespace),
    ("pod", Column::Pod),
    ("cpu", Column::Used(Resource::Cpu)),
    ("memory", Column::Used(Resource::Memory)),
    ("cpu_request", Column::Request(Resource::Cpu)),
    ("memory_request", Column::Request(Resource::Memory)),
    ("cpu_limit", Column::Limit(Resource::Cpu)),
    ("memory_limit", Column::Limit(Resource::Memory)),
    ("node", Column::Node),
    ("labels", Column::Labels),
];

/// Where the known columns are in a line.
struct Header<'f> {
    file: &'f str,
    places: Vec<(Column, usize)>,
}

pub fn read(
    recorder: &mut Recorder,
    file: &str,
    from: impl Read,
    note: &mut dyn FnMut(u64) -> bool,
) -> Result<(), FileError> {
    let mut reader = ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_reader(from);
    let mut record = StringRecord::new();
    let mut next = |record: &mut StringRecord| -> Result<bool, FileError> {
        reader.read_record(record).map_err(|error| FileError::csv(file, &error))
    };
    if !next(&mut record)? {
        return Err(FileError::line(
            file,
            1,
            "it is empty: begin it with time,namespace,pod,cpu,memory",
        ));
    }
    let header = Header::read(file, &record)?;
    let mut lines = 0;
    while next(&mut record)? {
        header.record(recorder, &record)?;
        lines += 1;
        let so_far = record.position().map_or(0, csv::Position::byte);
        if lines % LINES == 0 && !note(so_far) {
            break;
        }
    }
    Ok(())
}

impl<'f> Header<'f> {
    fn read(file: &'f str, record: &StringRecord) -> Result<Self, FileError> {
        let mut places = Vec::new();
        for (place, name) in record.iter().enumerate() {
            let name = name.to_ascii_lowercase();
            match COLUMNS.iter().find(|(known, _)| *known == name) {
                Some((_, column)) if places.iter().any(|(it, _)| it == column) => {
                    let problem = "the column is there twice: leave one out".to_owned();
                    return Err(FileError {
                        column: Some((place + 1, name)),
                        ..FileError::line(file, 1, &problem)
                    });
                }
                Some((_, column)) => places.push((*column, place)),
                None => {}
            }
        }
        let header = Self { file, places };
        let needed = [Column::Time, Column::Namespace, Column::Pod];
        let lacks = needed.iter().find(|column| header.place(**column).is_none());
        let measured = Resource::ALL.iter().any(|it| header.place(Column::Used(*it)).is_some());
        let names = "name the columns in the first line: time,namespace,pod,cpu,memory";
        match lacks {
            Some(column) => Err(FileError::line(
                file,
                1,
                &format!("there is no column {}: {names}", column.name()),
            )),
            None if !measured => {
                Err(FileError::line(file, 1, &format!("there is no column cpu or memory: {names}")))
            }
            None => Ok(header),
        }
    }

    fn place(&self, column: Column) -> Option<usize> {
        self.places.iter().find(|(it, _)| *it == column).map(|(_, place)| *place)
    }

    /// A field that is there and not empty.
    fn field<'r>(&self, record: &'r StringRecord, column: Column) -> Option<&'r str> {
        record.get(self.place(column)?).filter(|field| !field.is_empty())
    }

    fn record(&self, recorder: &mut Recorder, record: &StringRecord) -> Result<(), FileError> {
        let needed = |column| {
            let problem = || self.wrong(record, column, "it is empty");
            self.field(record, column).ok_or_else(problem)
        };
        let at = needed(Column::Time)?;
        let at = time(at).ok_or_else(|| {
            let problem =
                format!("{at:?} is not a time: write seconds since 1970, or 2026-01-31T12:00:00Z");
            self.wrong(record, Column::Time, &problem)
        })?;
        let (namespace, pod) = (needed(Column::Namespace)?, needed(Column::Pod)?);
        let used = self.amounts(record, Column::Used)?;
        recorder.record(namespace, pod, at, used);
        let facts = recorder.facts(namespace, pod);
        // What the first line of a pod says stands, so that the others need not be looked at.
        if facts.node.is_none() {
            facts.node = self.field(record, Column::Node).map(str::to_owned);
        }
        if facts.requests == PerResource::default() {
            facts.requests = self.amounts(record, Column::Request)?;
        }
        if facts.limits == PerResource::default() {
            facts.limits = self.amounts(record, Column::Limit)?;
        }
        if facts.labels.is_empty()
            && let Some(labels) = self.field(record, Column::Labels)
        {
            for label in labels.split(';') {
                let (key, value) = label.split_once('=').ok_or_else(|| {
                    let problem = format!("{label:?} is not a label: write app=web;tier=front");
                    self.wrong(record, Column::Labels, &problem)
                })?;
                facts.labels.insert(key.trim().to_owned(), value.trim().to_owned());
            }
        }
        Ok(())
    }

    fn amounts(
        &self,
        record: &StringRecord,
        column: fn(Resource) -> Column,
    ) -> Result<PerResource<Option<u64>>, FileError> {
        let mut amounts = PerResource::default();
        for resource in Resource::ALL {
            if let Some(field) = self.field(record, column(resource)) {
                let amount = amount(field, resource)
                    .map_err(|problem| self.wrong(record, column(resource), &problem))?;
                amounts[resource] = Some(amount);
            }
        }
        Ok(amounts)
    }

    fn wrong(&self, record: &StringRecord, column: Column, problem: &str) -> FileError {
        let line = record.position().map_or(0, csv::Position::line);
        let place = self.place(column).map_or(0, |place| place + 1);
        FileError {
            column: Some((place, column.name().to_owned())),
            ..FileError::line(self.file, line, problem)
        }
    }
}

impl Column {
    fn name(self) -> &'static str {
        COLUMNS.iter().find(|(_, column)| *column == self).map_or("", |(name, _)| name)
    }
}

/// Seconds since 1970.
fn time(text: &str) -> Option<u32> {
    if let Ok(seconds) = text.parse::<f64>() {
        // Of milliseconds there are more than will ever be of seconds.
        let seconds = if seconds > 1e11 { seconds / 1000.0 } else { seconds };
        return within(seconds);
    }
    u32::try_from(text.parse::<Timestamp>().ok()?.as_second()).ok()
}

/// An amount as Kubernetes writes it, or a number of cores or bytes with a fraction. In units of the resource, rounded up.
fn amount(text: &str, resource: Resource) -> Result<u64, String> {
    if let Ok(number) = text.parse::<f64>() {
        return rounded(number * UNIT[resource])
            .ok_or_else(|| format!("{text:?} is not an amount of {resource}: write zero or more"));
    }
    let amount = match resource {
        Resource::Cpu => MilliCpu::rounded_up(text).map(|it| it.0),
        Resource::Memory => Bytes::rounded_up(text).map(|it| it.0),
    };
    amount.map_err(|error| error.to_string())
}
