//! retrieval (being written).
