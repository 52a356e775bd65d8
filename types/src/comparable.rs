//! Byte-comparable encoding of clustering components: memcmp order equals typed order.
