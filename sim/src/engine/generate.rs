//! Makes a history of a seed.

use super::step::{
    Change, End, History, Place, Put, Query, Setup, Step, StrategyKind, TableSetup, When, Write,
};
use dodona_env::Random;

/// Rows are numbered below this.
pub const ROWS: u8 = 24;
/// Columns of one cell; the others hold elements.
pub const COLUMNS: u8 = 2;
/// Elements are numbered below this.
pub const ELEMENTS: u8 = 3;

struct Generator {
    random: Random,
    partitions: u8,
    /// There is no column of many cells.
    plain: bool,
    /// Data go elsewhere and come from there.
    elsewhere: bool,
}

/// The history of a seed.
#[must_use]
pub fn history(seed: u64) -> History {
    let random = Random::from_seed(seed).split("history");
    let plain = Random::from_seed(seed).split("shape").below(2) == 0;
    let elsewhere = Random::from_seed(seed).split("elsewhere");
    let goes_elsewhere = elsewhere.below(4) == 0;
    let partitions = 1 + random.below(6) as u8;
    let mut generator = Generator { partitions, random, plain, elsewhere: goes_elsewhere };
    let setup = Setup {
        sync_mode: generator.below(3),
        table: generator.table(),
        memtable_bytes: [800, 4_000, 1_000_000][usize::from(generator.below(3))],
        segment_bytes: [600, 3_000, 20_000][usize::from(generator.below(3))],
        // Only what notes itself in the table can be told of what comes back.
        inner_journal: generator.chance(60) || goes_elsewhere,
        elsewhere: goes_elsewhere,
    };
    let refuses = |step: &Step| matches!(step, Step::LimitSpace(_) | Step::FailSync(_));
    let count = 20 + generator.random.below(140);
    let steps = (0..count).map(|_| generator.step());
    let mut steps: Vec<Step> = steps.filter(|step| setup.inner_journal || !refuses(step)).collect();
    let drops = Random::from_seed(seed).split("drops");
    if drops.below(3) == 0 {
        for _ in 0..=drops.below(3) {
            let at = drops.below(steps.len() as u64 + 1) as usize;
            steps.insert(at, Step::DropColumn(drops.below(u64::from(COLUMNS) + 1) as u8));
        }
    }
    if goes_elsewhere {
        generator.random = elsewhere;
        for _ in 0..3 + steps.len() / 12 {
            let at = generator.random.below(steps.len() as u64 + 1) as usize;
            steps.insert(at, generator.step_elsewhere());
        }
    }
    History { setup, steps }
}

impl Generator {
    fn below(&self, end: u8) -> u8 {
        self.random.below(u64::from(end.max(1))) as u8
    }

    fn chance(&self, percent: u64) -> bool {
        self.random.below(100) < percent
    }

    fn table(&self) -> TableSetup {
        let strategy = match self.below(6) {
            0 => StrategyKind::SizeTiered,
            1 => StrategyKind::Leveled,
            2 => StrategyKind::TimeWindow,
            3 => StrategyKind::Unified(-2),
            4 => StrategyKind::Unified(0),
            _ => StrategyKind::Unified(2),
        };
        let overlapping = match self.below(6) {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        };
        let gc_grace_seconds = [0, 5, 60, 864_000][usize::from(self.below(4))];
        TableSetup {
            strategy,
            gc_grace_seconds,
            compressed: self.chance(30),
            overlapping,
            only_purge_repaired: self.chance(15),
            plain: self.plain,
            named: self.elsewhere,
        }
    }

    fn step_elsewhere(&self) -> Step {
        match self.below(8) {
            0 => Step::Archive,
            1..3 => Step::RestoreLog(self.below(60)),
            3..5 => Step::RestoreBackups,
            _ => Step::Import((0..1 + self.below(3)).map(|_| self.write()).collect()),
        }
    }

    fn step(&self) -> Step {
        match self.random.below(1_000) {
            0..404 => Step::Write((0..=self.random.below(10) / 8).map(|_| self.write()).collect()),
            404..414 => Step::BeginRepair(self.below(self.partitions), self.below(self.partitions)),
            414..420 => Step::EndRepair(self.chance(70)),
            420..560 => Step::Read(self.query()),
            560..585 => Step::ReadAll,
            585..625 => Step::Pass(1 + self.random.below(25) as u32),
            625..640 => Step::SyncLog,
            640..660 => Step::TendLog,
            660..745 => Step::Flush,
            745..775 => Step::Maintain,
            775..820 => Step::BeginCompaction,
            820..880 => Step::StepCompaction(self.below(3), self.chance(40)),
            880..890 => Step::AbandonCompaction(self.below(3)),
            890..905 => Step::CompactAll,
            905..915 => Step::CollectGarbage(self.chance(50)),
            915..920 => Step::Truncate,
            920..926 => Step::Snapshot(self.below(3)),
            926..938 => Step::Alter(self.table()),
            938..942 => Step::Recreate,
            942..950 => Step::LimitSpace(self.chance(60).then(|| self.random.below(3_000) as u32)),
            950..954 => Step::FailSync(self.below(5)),
            954..962 => Step::Rot(self.random.next_u64()),
            962..966 => Step::Scrub(self.random.next_u64()),
            966..970 => Step::RotAtRest(self.random.next_u64()),
            970..982 => Step::Restart(End::Kill),
            _ => Step::Restart(End::PowerCut(self.random.next_u64())),
        }
    }

    fn write(&self) -> Write {
        let when = match self.random.below(10) {
            0 => When::Same,
            1 | 2 => When::Earlier(1 + self.random.below(40) as i64),
            _ => When::Now,
        };
        let count = 1 + self.random.below(8) / 5;
        let changes = (0..count).map(|_| self.change()).collect();
        Write { partition: self.below(self.partitions), when, changes }
    }

    fn change(&self) -> Change {
        match self.random.below(100) {
            0..70 => self.row(Some(self.below(ROWS))),
            70..78 => self.row(None),
            78..87 => Change::DeleteRow(self.below(ROWS)),
            87..97 => {
                let start = self.below(ROWS);
                Change::DeleteRange(start, start + 1 + self.below(ROWS / 2))
            }
            _ => Change::DeletePartition,
        }
    }

    fn row(&self, row: Option<u8>) -> Change {
        let marker = match (row, self.below(4)) {
            (None, _) | (_, 0) => None,
            (_, 1) => Some(1 + self.random.below(40) as u32),
            _ => Some(0),
        };
        let mut cells: Vec<(Place, Put)> = Vec::new();
        for column in 0..COLUMNS {
            if self.chance(60) {
                cells.push((Place::Column(column), self.put()));
            }
        }
        let with_elements = self.chance(30);
        for element in 0..ELEMENTS {
            if with_elements && self.chance(50) {
                cells.push((Place::Element(element), self.put()));
            }
        }
        let mut empty_map = self.chance(8);
        if self.plain {
            empty_map = false;
            cells.retain(|(place, _)| matches!(place, Place::Column(_)));
        }
        Change::Row { row, marker, empty_map, cells }
    }

    fn put(&self) -> Put {
        let value = self.random.next_u64() as u8;
        match self.below(10) {
            0 => Put::Delete,
            1 | 2 => Put::For(value, 1 + self.random.below(40) as u32),
            _ => Put::Live(value),
        }
    }

    fn query(&self) -> Query {
        let mut query = Query::all(self.chance(80).then(|| self.below(self.partitions)), self.chance(40));
        match self.below(3) {
            0 => {
                query.names = (0..1 + self.below(4)).map(|_| self.below(ROWS)).collect();
                query.names.sort_unstable();
                query.names.dedup();
            }
            1 => {
                let mut at = 0;
                for _ in 0..1 + self.below(3) {
                    let start = at + self.below(8);
                    let end = start + 1 + self.below(8);
                    query.slices.push((start, end));
                    at = end;
                }
            }
            _ => {}
        }
        if self.chance(30) {
            query.limits = (self.below(6), self.below(4));
        } else if query.partition.is_some() && query.names.is_empty() && self.chance(40) {
            query.page_rows = 1 + self.below(4);
        }
        query
    }
}
