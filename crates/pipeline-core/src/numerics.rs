//! Classes of arithmetic: results of one class have the same bits, whatever machine computed them.

use serde::{Deserialize, Serialize};

use crate::{Device, Needs};

/// A class of arithmetic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Numerics {
    /// A processor that rounds products and sums each; the default.
    #[default]
    Plain,
    /// A processor that rounds a product and the sum with it once (AVX2 with FMA, AVX-512).
    Fma,
    /// A CUDA device.
    Cuda,
    /// A device of Vulkan or Metal.
    Wgpu,
}

impl Numerics {
    /// The name, as JSON and people have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Fma => "fma",
            Self::Cuda => "cuda",
            Self::Wgpu => "wgpu",
        }
    }
}

/// The arithmetic of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Arithmetic {
    /// The class of its processor.
    pub processor: Numerics,
    /// True if results of another class count as absent.
    pub is_exclusive: bool,
}

impl Arithmetic {
    /// The class of a stage with these needs in a run whose tensors live on `device`.
    pub fn class(self, needs: Needs, device: Device) -> Numerics {
        match device {
            Device::Cuda if needs.device => Numerics::Cuda,
            Device::Wgpu if needs.device => Numerics::Wgpu,
            _ => self.processor,
        }
    }

    /// Whether a result counts for a stage of `class`; `computed` has the classes that computed it.
    pub fn accepts(self, computed: &[Numerics], class: Numerics) -> bool {
        !self.is_exclusive || computed == [class]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_counts_where_any_does_or_its_one_class_is_the_own() {
        let (fma, cuda) = (Numerics::Fma, Numerics::Cuda);
        let any = Arithmetic { processor: fma, is_exclusive: false };
        let own = Arithmetic { is_exclusive: true, ..any };
        for computed in [&[][..], &[fma], &[cuda], &[fma, cuda]] {
            assert!(any.accepts(computed, fma));
            assert_eq!(own.accepts(computed, fma), computed == [fma], "{computed:?}");
        }
    }

    #[test]
    fn only_stages_of_tensors_are_computed_by_the_device() {
        let arithmetic = Arithmetic { processor: Numerics::Fma, is_exclusive: false };
        let encoder = Needs { device: true, ..Needs::default() };
        assert_eq!(arithmetic.class(encoder, Device::Cuda), Numerics::Cuda);
        assert_eq!(arithmetic.class(encoder, Device::Wgpu), Numerics::Wgpu);
        assert_eq!(arithmetic.class(encoder, Device::Cpu), Numerics::Fma);
        assert_eq!(arithmetic.class(Needs::default(), Device::Cuda), Numerics::Fma);
    }
}
