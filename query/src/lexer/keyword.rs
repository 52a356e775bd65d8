//! The keywords of CQL, and which of them may be names.

/// Where a keyword may stand for a name without quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeywordClass {
    /// Nowhere.
    Reserved,
    /// As any name.
    Plain,
    /// As any name but that of a user-defined type: it is a native type.
    Type,
    /// As any name but those of functions and user-defined types.
    Special,
}

macro_rules! keywords {
    ($($variant:ident $text:literal $class:ident,)*) => {
        /// A keyword.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "each is the keyword that it is named after")]
        pub enum Keyword { $($variant,)* }

        /// Every keyword, in the order of its text.
        const KEYWORDS: &[(&str, Keyword, KeywordClass)] =
            &[$(($text, Keyword::$variant, KeywordClass::$class),)*];
    };
}

keywords! {
    Access "ACCESS" Plain,
    Add "ADD" Reserved,
    Aggregate "AGGREGATE" Plain,
    Aggregates "AGGREGATES" Plain,
    All "ALL" Plain,
    Allow "ALLOW" Reserved,
    Alter "ALTER" Reserved,
    And "AND" Reserved,
    Ann "ANN" Plain,
    Apply "APPLY" Reserved,
    As "AS" Plain,
    Asc "ASC" Reserved,
    Ascii "ASCII" Type,
    Authorize "AUTHORIZE" Reserved,
    Batch "BATCH" Reserved,
    Begin "BEGIN" Reserved,
    Between "BETWEEN" Plain,
    Bigint "BIGINT" Type,
    Blob "BLOB" Type,
    Boolean "BOOLEAN" Type,
    By "BY" Reserved,
    Called "CALLED" Plain,
    Cast "CAST" Special,
    Check "CHECK" Plain,
    Cidrs "CIDRS" Plain,
    Cluster "CLUSTER" Plain,
    Clustering "CLUSTERING" Plain,
    ColumnFamilies "COLUMNFAMILIES" Plain,
    ColumnFamily "COLUMNFAMILY" Reserved,
    Compact "COMPACT" Plain,
    Contains "CONTAINS" Plain,
    Count "COUNT" Special,
    Counter "COUNTER" Type,
    Create "CREATE" Reserved,
    Custom "CUSTOM" Plain,
    Datacenters "DATACENTERS" Plain,
    Date "DATE" Type,
    Decimal "DECIMAL" Type,
    Default "DEFAULT" Plain,
    Delete "DELETE" Reserved,
    Desc "DESC" Reserved,
    Describe "DESCRIBE" Reserved,
    Distinct "DISTINCT" Special,
    Double "DOUBLE" Type,
    Drop "DROP" Reserved,
    Duration "DURATION" Type,
    Entries "ENTRIES" Reserved,
    Execute "EXECUTE" Reserved,
    Exists "EXISTS" Plain,
    Filtering "FILTERING" Plain,
    FinalFunc "FINALFUNC" Plain,
    Float "FLOAT" Type,
    From "FROM" Reserved,
    Frozen "FROZEN" Plain,
    Full "FULL" Reserved,
    Function "FUNCTION" Plain,
    Functions "FUNCTIONS" Plain,
    Generated "GENERATED" Plain,
    Grant "GRANT" Reserved,
    Group "GROUP" Plain,
    Hashed "HASHED" Plain,
    Identity "IDENTITY" Plain,
    If "IF" Reserved,
    In "IN" Reserved,
    Index "INDEX" Reserved,
    Inet "INET" Type,
    Infinity "INFINITY" Reserved,
    InitCond "INITCOND" Plain,
    Input "INPUT" Plain,
    Insert "INSERT" Reserved,
    Int "INT" Type,
    Internals "INTERNALS" Plain,
    Into "INTO" Reserved,
    Is "IS" Reserved,
    Json "JSON" Special,
    Key "KEY" Special,
    Keys "KEYS" Plain,
    Keyspace "KEYSPACE" Reserved,
    Keyspaces "KEYSPACES" Plain,
    Language "LANGUAGE" Plain,
    Like "LIKE" Plain,
    Limit "LIMIT" Reserved,
    List "LIST" Plain,
    Login "LOGIN" Plain,
    Map "MAP" Plain,
    Masked "MASKED" Plain,
    Materialized "MATERIALIZED" Reserved,
    MaxWriteTime "MAXWRITETIME" Special,
    Mbean "MBEAN" Plain,
    Mbeans "MBEANS" Plain,
    Modify "MODIFY" Reserved,
    Nan "NAN" Reserved,
    NoLogin "NOLOGIN" Plain,
    NoRecursive "NORECURSIVE" Reserved,
    NoSuperuser "NOSUPERUSER" Plain,
    Not "NOT" Reserved,
    Null "NULL" Reserved,
    Of "OF" Reserved,
    On "ON" Reserved,
    Only "ONLY" Plain,
    Options "OPTIONS" Plain,
    Or "OR" Reserved,
    Order "ORDER" Reserved,
    Partition "PARTITION" Plain,
    Password "PASSWORD" Plain,
    Per "PER" Plain,
    Permission "PERMISSION" Plain,
    Permissions "PERMISSIONS" Plain,
    Primary "PRIMARY" Reserved,
    Rename "RENAME" Reserved,
    Replace "REPLACE" Plain,
    Returns "RETURNS" Plain,
    Revoke "REVOKE" Reserved,
    Role "ROLE" Plain,
    Roles "ROLES" Plain,
    Schema "SCHEMA" Reserved,
    Select "SELECT" Reserved,
    SelectMasked "SELECT_MASKED" Plain,
    Set "SET" Reserved,
    SFunc "SFUNC" Plain,
    Smallint "SMALLINT" Type,
    Static "STATIC" Plain,
    Storage "STORAGE" Plain,
    SType "STYPE" Plain,
    Superuser "SUPERUSER" Plain,
    Superusers "SUPERUSERS" Plain,
    Table "TABLE" Reserved,
    Tables "TABLES" Plain,
    Text "TEXT" Type,
    Time "TIME" Type,
    Timestamp "TIMESTAMP" Type,
    Timeuuid "TIMEUUID" Type,
    Tinyint "TINYINT" Type,
    To "TO" Reserved,
    Token "TOKEN" Reserved,
    Trigger "TRIGGER" Plain,
    Truncate "TRUNCATE" Reserved,
    Ttl "TTL" Special,
    Tuple "TUPLE" Plain,
    Type "TYPE" Plain,
    Types "TYPES" Plain,
    Unlogged "UNLOGGED" Reserved,
    Unmask "UNMASK" Plain,
    Unset "UNSET" Plain,
    Update "UPDATE" Reserved,
    Use "USE" Reserved,
    User "USER" Plain,
    Users "USERS" Plain,
    Using "USING" Reserved,
    Uuid "UUID" Type,
    Values "VALUES" Plain,
    Varchar "VARCHAR" Type,
    Varint "VARINT" Type,
    Vector "VECTOR" Plain,
    View "VIEW" Reserved,
    Where "WHERE" Reserved,
    With "WITH" Reserved,
    WriteTime "WRITETIME" Special,
}

/// The length of the longest keyword.
const MAX_LENGTH: usize = 14;
const _: () = assert!(MAX_LENGTH <= size_of::<u128>());

/// The keywords' texts as numbers, which compare faster.
const CODES: [u128; KEYWORDS.len()] = {
    let mut codes = [0; KEYWORDS.len()];
    let mut index = 0;
    while index < codes.len() {
        codes[index] = code(KEYWORDS[index].0.as_bytes());
        index += 1;
    }
    codes
};

/// A word in upper case as a number that compares as the word does.
const fn code(word: &[u8]) -> u128 {
    let (mut code, mut index) = (0, 0);
    while index < size_of::<u128>() {
        let byte = if index < word.len() { word[index].to_ascii_uppercase() } else { 0 };
        code = code << 8 | byte as u128;
        index += 1;
    }
    code
}

impl Keyword {
    /// The keyword that this word is, in any case.
    #[must_use]
    pub fn find(word: &str) -> Option<Self> {
        if word.len() > MAX_LENGTH {
            return None;
        }
        let found = CODES.binary_search(&code(word.as_bytes())).ok()?;
        Some(KEYWORDS[found].1)
    }

    /// The keyword in upper case.
    #[must_use]
    pub const fn text(self) -> &'static str {
        KEYWORDS[self as usize].0
    }

    /// Where the keyword may stand for a name.
    #[must_use]
    pub const fn class(self) -> KeywordClass {
        KEYWORDS[self as usize].2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyword_is_found() {
        assert!(KEYWORDS.is_sorted_by_key(|(text, ..)| *text));
        for (text, keyword, class) in KEYWORDS {
            assert_eq!(Keyword::find(&text.to_lowercase()), Some(*keyword));
            assert_eq!((keyword.text(), keyword.class()), (*text, *class));
            assert!(text.len() <= MAX_LENGTH);
        }
        assert_eq!(Keyword::find("nosuchword"), None);
        assert_eq!(Keyword::find("a_word_longer_than_any_keyword"), None);
    }
}
