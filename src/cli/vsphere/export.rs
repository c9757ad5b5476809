//! The CSV that `Get-ResourcePool | Export-Csv` of PowerCLI writes.

use csv::{ReaderBuilder, StringRecord};

use crate::simulate::read::FileError;

/// What is said to a file that has too little in it.
const HELP: &str =
    "write the file with: Get-ResourcePool | Export-Csv -NoTypeInformation pools.csv";

/// A resource pool as vSphere has it. Shares count beside those of its siblings; CPU is in MHz.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct ResourcePool {
    /// The line of the file.
    pub line: u64,
    pub name: String,
    /// What names the pool beyond its name, if the file has it.
    pub id: Option<String>,
    /// The name of the pool or cluster above it.
    pub parent: String,
    /// The `id` of the pool above it, if the file has it.
    pub parent_id: Option<String>,
    /// High, Normal, Low or Custom.
    pub level: String,
    pub shares: u64,
    pub reservation: u64,
    /// None: unlimited.
    pub limit: Option<u64>,
    pub expandable: bool,
    /// Whether memory is reserved or limited.
    pub bounds_memory: bool,
}

/// Reads the pools of a file, in its order. `file` is its name, for errors.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn read(file: &str, text: &[u8]) -> Result<Vec<ResourcePool>, FileError> {
    if text.starts_with(&[0xff, 0xfe]) || text.starts_with(&[0xfe, 0xff]) {
        let problem = "it is UTF-16: write it with Export-Csv -Encoding UTF8";
        return Err(FileError::line(file, 1, problem));
    }
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .trim(csv::Trim::All)
        // Windows PowerShell begins with "#TYPE ...".
        .comment(Some(b'#'))
        .delimiter(delimiter(text))
        .from_reader(text);
    let mut record = StringRecord::new();
    let mut next = |record: &mut StringRecord| {
        reader.read_record(record).map_err(|error| FileError::csv(file, &error))
    };
    if !next(&mut record)? {
        return Err(FileError::line(file, 1, &format!("it is empty: {HELP}")));
    }
    let columns = Columns { file, names: record.iter().map(str::to_owned).collect() };
    columns.check()?;
    let mut pools = Vec::new();
    while next(&mut record)? {
        pools.push(columns.pool(&record)?);
    }
    match pools.is_empty() {
        true => Err(FileError::line(file, 2, &format!("no resource pools follow: {HELP}"))),
        false => Ok(pools),
    }
}

/// `Export-Csv -UseCulture` separates columns with a semicolon where a comma begins a fraction.
fn delimiter(text: &[u8]) -> u8 {
    let mut lines = text.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#"));
    let header = lines.next().unwrap_or_default();
    if header.contains(&b';') && !header.contains(&b',') { b';' } else { b',' }
}

/// The names in the first line.
struct Columns<'f> {
    file: &'f str,
    names: Vec<String>,
}

impl Columns<'_> {
    fn check(&self) -> Result<(), FileError> {
        let needed = ["Name", "Parent", "NumCpuShares", "CpuReservationMHz", "CpuLimitMHz"];
        match needed.iter().find(|name| self.place(name).is_none()) {
            Some(name) => {
                let problem = format!("there is no column {name}: {HELP}");
                Err(FileError::line(self.file, 1, &problem))
            }
            None => Ok(()),
        }
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|it| it.eq_ignore_ascii_case(name))
    }

    /// A field that is there and not empty.
    fn field<'r>(&self, record: &'r StringRecord, name: &str) -> Option<&'r str> {
        record.get(self.place(name)?).filter(|field| !field.is_empty())
    }

    fn pool(&self, record: &StringRecord) -> Result<ResourcePool, FileError> {
        let owned = |name| self.field(record, name).map(str::to_owned);
        let needed = |name| {
            let empty = || self.wrong(record, name, "it is empty");
            owned(name).ok_or_else(empty)
        };
        let whole = |name| -> Result<u64, FileError> {
            let field = needed(name)?;
            let wrong = || {
                let problem = format!("{field:?} is not a whole number of zero or more");
                self.wrong(record, name, &problem)
            };
            field.parse().map_err(|_| wrong())
        };
        let limited = |name| self.field(record, name).is_some_and(|field| !field.starts_with('-'));
        let reserved = |name| {
            let zero = |field: &str| field.chars().all(|it| matches!(it, '0' | '.' | ','));
            self.field(record, name).is_some_and(|field| !zero(field))
        };
        let limit = match limited("CpuLimitMHz") {
            true => Some(whole("CpuLimitMHz")?),
            false => None,
        };
        Ok(ResourcePool {
            line: record.position().map_or(0, csv::Position::line),
            name: needed("Name")?,
            id: owned("Id"),
            parent: owned("Parent").unwrap_or_default(),
            parent_id: owned("ParentId"),
            level: owned("CpuSharesLevel").unwrap_or_else(|| "Custom".to_owned()),
            shares: whole("NumCpuShares")?,
            reservation: whole("CpuReservationMHz")?,
            limit,
            expandable: self.expandable(record)?,
            bounds_memory: ["MemReservationGB", "MemReservationMB"].into_iter().any(reserved)
                || ["MemLimitGB", "MemLimitMB"].into_iter().any(limited),
        })
    }

    fn expandable(&self, record: &StringRecord) -> Result<bool, FileError> {
        let name = "CpuExpandableReservation";
        match self.field(record, name).map(str::to_ascii_lowercase).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => {
                let problem = format!("{other:?} is neither True nor False");
                Err(self.wrong(record, name, &problem))
            }
        }
    }

    fn wrong(&self, record: &StringRecord, name: &str, problem: &str) -> FileError {
        let line = record.position().map_or(0, csv::Position::line);
        let place = self.place(name).map_or(0, |place| place + 1);
        let column = Some((place, name.to_owned()));
        FileError { column, ..FileError::line(self.file, line, problem) }
    }
}
