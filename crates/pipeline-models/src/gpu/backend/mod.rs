//! Models and training in burn, generic over its backend: CUDA, and the processor in tests.

pub(crate) mod bert;
pub(crate) mod learner;
pub(crate) mod resnet;
