//! The features that a training reads: on the device as a whole where they fit there, else batch after batch.

use std::io;

use burn_cubecl::CubeRuntime;
use cubecl::client::ComputeClient;

use super::places::BatchPlaces;
use crate::gpu::kernels::heads::{Numbers, copy, gather};
use pipeline_kernels::{RowReader, each_block};

/// The bytes of features that any device takes.
const LEAST_ROOM: u64 = 512 << 20;

/// The features of both sides.
pub(super) struct Source<'a, R: CubeRuntime> {
    readers: [&'a dyn RowReader; 2],
    /// Those on the device, once they are there.
    placed: Option<[Numbers<R>; 2]>,
    fits: bool,
}

impl<'a, R: CubeRuntime> Source<'a, R> {
    /// Features that lie on the device only if both sides fit into `room` bytes; where that is unknown, into
    /// [`LEAST_ROOM`] and the largest buffer. Kernels count the numbers of a side in 32 bits.
    pub(super) fn new(client: &ComputeClient<R>, readers: [&'a dyn RowReader; 2], room: Option<u64>) -> Self {
        let n_numbers = readers.map(|reader| reader.n_rows() as u64 * reader.n_cols() as u64);
        let n_bytes = n_numbers.iter().sum::<u64>() * size_of::<f32>() as u64;
        let most = room.unwrap_or_else(|| client.properties().memory.max_page_size.min(LEAST_ROOM));
        let fits = n_bytes <= most && n_numbers.iter().all(|n_numbers| u32::try_from(*n_numbers).is_ok());
        Self { readers, placed: None, fits }
    }

    /// Whether features are read for each batch.
    pub(super) fn is_read_for_each_batch(&self) -> bool {
        !self.fits
    }

    /// Copies all features to the device where they fit, once.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn place(&mut self, client: &ComputeClient<R>) -> io::Result<()> {
        if self.fits && self.placed.is_none() {
            let [text, images] = self.readers.map(|reader| on_device(client, reader));
            self.placed = Some([text?, images?]);
        }
        Ok(())
    }

    /// Writes the features of pairs of `rows` to their places in `inputs`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn gather(
        &self,
        client: &ComputeClient<R>,
        (rows, rows_on_device): (&[u32], &Numbers<R>),
        (first_pair, n_pairs): (usize, usize),
        inputs: &Numbers<R>,
        places: &BatchPlaces,
    ) -> io::Result<()> {
        let BatchPlaces { widths, features, .. } = *places;
        if let Some([text, images]) = &self.placed {
            gather(client, [text, images], rows_on_device, inputs, (first_pair, n_pairs), widths, features[1]);
            return Ok(());
        }
        let batch = &rows[2 * first_pair..][..2 * n_pairs];
        let mut values = vec![0.0; features[1] + n_pairs * widths[1]];
        for side in [0, 1] {
            let rows: Vec<usize> = batch.iter().skip(side).step_by(2).map(|row| *row as usize).collect();
            self.readers[side].read_rows(&rows, &mut values[features[side]..][..n_pairs * widths[side]])?;
        }
        copy(client, &Numbers::of(client, &values), inputs, 0);
        Ok(())
    }
}

/// Copies all rows, one block after the other.
fn on_device<R: CubeRuntime>(client: &ComputeClient<R>, reader: &dyn RowReader) -> io::Result<Numbers<R>> {
    let features = Numbers::in_own_page(client, reader.n_rows() * reader.n_cols());
    each_block(reader, |rows, values| {
        if !values.is_empty() {
            copy(client, &Numbers::of(client, values), &features, rows.start * reader.n_cols());
            // No more than this block waits in memory.
            client.flush().unwrap_or_else(|error| panic!("ServerError: {error:?}"));
        }
        io::Result::Ok(())
    })?;
    Ok(features)
}
