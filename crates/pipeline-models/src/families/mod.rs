//! The families of encoders, a folder each.

pub mod bert;
pub mod resnet;
