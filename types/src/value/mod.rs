//! Values of CQL types: wire encoding, validation, order, literals and JSON.
