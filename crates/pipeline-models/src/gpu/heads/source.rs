//! The features that a training reads: on the device as a whole where they fit there, else batch after batch.

use std::{io, slice};

use burn_cubecl::CubeRuntime;
use cubecl::client::ComputeClient;

use super::places::BatchPlaces;
use crate::device::{Gpu, Interface};
use crate::gpu::cards;
use crate::gpu::kernels::heads::{Numbers, copy, gather};
use crate::gpu::room::{Planned, Room};
use pipeline_kernels::{BLOCK_BYTES, RowReader, each_block};

/// The bytes of features that any device takes.
const LEAST_ROOM: u64 = 512 << 20;

/// The rows of a batch that are read at once: disks that are slow to find each of them do so in a second.
const ROWS_AT_ONCE: usize = 128;

/// The features of both sides.
pub(super) struct Source<'a, R: CubeRuntime> {
    readers: [&'a dyn RowReader; 2],
    /// Those on the device, once they are there.
    placed: Option<[Numbers<R>; 2]>,
    /// The memory that they take there; `None` if they are read for each batch.
    planned: Option<Planned>,
}

impl<'a, R: CubeRuntime> Source<'a, R> {
    /// Features that lie on the device only if both sides fit into what it has left; where that is unknown, into
    /// [`LEAST_ROOM`] and the largest buffer. Kernels count the numbers of a side in 32 bits.
    ///
    /// All else that the training keeps on the device must be there already: it is no longer free.
    pub(super) fn new(client: &ComputeClient<R>, readers: [&'a dyn RowReader; 2], gpu: Gpu) -> Self {
        let n_numbers = readers.map(|reader| reader.n_rows() as u64 * reader.n_cols() as u64);
        let n_bytes = n_numbers.iter().sum::<u64>() * size_of::<f32>() as u64;
        let are_counted = n_numbers.iter().all(|n_numbers| u32::try_from(*n_numbers).is_ok());
        let look = || {
            take_all(client, n_numbers.into_iter().max().unwrap_or_default());
            room(client, gpu)
        };
        let planned = are_counted.then(|| Planned::new(gpu, n_bytes, look)).flatten();
        Self { readers, placed: None, planned }
    }

    /// Whether features are read for each batch.
    pub(super) fn is_read_for_each_batch(&self) -> bool {
        self.planned.is_none()
    }

    /// Has features read for each batch, as where they do not fit.
    #[cfg(test)]
    pub(super) fn read_for_each_batch(&mut self) {
        self.planned = None;
    }

    /// Says that the device has done all that was asked of it until now.
    pub(super) fn settle(&mut self) {
        if let (Some(_), Some(planned)) = (&self.placed, &mut self.planned) {
            planned.settle();
        }
    }

    /// Copies all features to the device where they fit, once. False if that was stopped.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn place(&mut self, client: &ComputeClient<R>, must_stop: &dyn Fn() -> bool) -> io::Result<bool> {
        if self.planned.is_none() || self.placed.is_some() {
            return Ok(true);
        }
        let Some(text) = on_device(client, self.readers[0], must_stop)? else { return Ok(false) };
        let Some(images) = on_device(client, self.readers[1], must_stop)? else { return Ok(false) };
        self.placed = Some([text, images]);
        Ok(true)
    }

    /// Writes the features of pairs of `rows` to their places in `inputs`. False if reading them was stopped.
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
        must_stop: &dyn Fn() -> bool,
    ) -> io::Result<bool> {
        let BatchPlaces { widths, features, .. } = *places;
        if let Some([text, images]) = &self.placed {
            gather(client, [text, images], rows_on_device, inputs, (first_pair, n_pairs), widths, features[1]);
            return Ok(true);
        }
        let batch = &rows[2 * first_pair..][..2 * n_pairs];
        let mut values = vec![0.0; features[1] + n_pairs * widths[1]];
        for side in [0, 1] {
            let rows: Vec<usize> = batch.iter().skip(side).step_by(2).map(|row| *row as usize).collect();
            let values = &mut values[features[side]..][..n_pairs * widths[side]];
            for (rows, values) in rows.chunks(ROWS_AT_ONCE).zip(values.chunks_mut(ROWS_AT_ONCE * widths[side].max(1))) {
                if must_stop() {
                    return Ok(false);
                }
                self.readers[side].read_rows(rows, values)?;
            }
        }
        copy(client, &Numbers::of(client, &values), inputs, 0);
        Ok(true)
    }
}

/// What a device has left.
fn room<R: CubeRuntime>(client: &ComputeClient<R>, gpu: Gpu) -> Room {
    match gpu.interface {
        Interface::Cuda => {
            let cards = cards(gpu.number.as_ref().map(slice::from_ref), |_| None);
            // One that is nearly full is an error, and has no room.
            let card = cards.ok().and_then(|cards| cards.into_iter().next());
            Room::Free(card.map_or(0, |card| card.memory[0] as u64))
        }
        Interface::Wgpu => Room::AtMost(client.properties().memory.max_page_size.min(LEAST_ROOM)),
    }
}

/// Waits until all that was asked for is allocated, and a page for the blocks of so many numbers in which they come.
fn take_all<R: CubeRuntime>(client: &ComputeClient<R>, n_numbers: u64) {
    let block = Numbers::<R>::empty(client, n_numbers.min((BLOCK_BYTES / size_of::<f32>()) as u64) as usize);
    client.memory_usage().unwrap_or_else(|error| panic!("ServerError: {error:?}"));
    drop(block);
}

/// Why blocks end: one cannot be read, or the training must stop.
enum End {
    Failed(io::Error),
    Stopped,
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// Copies all rows, one block after the other; `None` if that was stopped.
fn on_device<R: CubeRuntime>(
    client: &ComputeClient<R>,
    reader: &dyn RowReader,
    must_stop: &dyn Fn() -> bool,
) -> io::Result<Option<Numbers<R>>> {
    let features = Numbers::in_own_page(client, reader.n_rows() * reader.n_cols());
    let copied = each_block(reader, |rows, values| {
        if must_stop() {
            return Err(End::Stopped);
        }
        if !values.is_empty() {
            copy(client, &Numbers::of(client, values), &features, rows.start * reader.n_cols());
            // No more than this block waits in memory.
            client.flush().unwrap_or_else(|error| panic!("ServerError: {error:?}"));
        }
        Ok(())
    });
    match copied {
        Ok(()) => Ok(Some(features)),
        Err(End::Stopped) => Ok(None),
        Err(End::Failed(error)) => Err(error),
    }
}
