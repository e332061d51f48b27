//! A step of a training as a row of launches: from features to the loss, and back to the gradients.

use std::io;

use burn_cubecl::CubeRuntime;

use super::places::BatchPlaces;
use super::{Batch, KernelLearner, Learnt};
use crate::gpu::kernels::heads::{
    Columns, Contrast, Embedding, Factors, HiddenLayer, Numbers, View, activate, contrast, differentiate_lengths,
    embed, multiply_slopes, product, relevant, sum_columns,
};

impl<R: CubeRuntime> KernelLearner<'_, R> {
    /// Reads the features of pairs of `rows`, which [`Self::measure`] takes. False if that was stopped.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn read(
        &self,
        rows: (&[u32], &Numbers<R>),
        pairs: (usize, usize),
        must_stop: &dyn Fn() -> bool,
    ) -> io::Result<bool> {
        self.source.gather(&self.client, rows, pairs, &self.batch.inputs, &self.batch.places, must_stop)
    }

    /// Measures the loss of the pairs that were read last, which goes to the place of `step`, and its gradient by
    /// similarities.
    pub(super) fn measure(&self, step: usize, rows: &Numbers<R>, (first_pair, n_pairs): (usize, usize)) {
        let Self { client, options, batch, relevant: of_training, .. } = self;
        let Batch { places, inputs, hidden_sums, sums, embedded, lengths, similarities, .. } = batch;
        let embedding = self.embedding(n_pairs);
        if let Some(Learnt { places: learnt, values, .. }) = &self.learnt {
            let hidden = |side: usize| {
                let layer = learnt.sides[side].hidden?;
                let (lhs, output) = (places.features(side, n_pairs), places.hidden_sums(side, n_pairs));
                Some(Factors { lhs, rhs: layer.weight().transposed(), output })
            };
            self.product([inputs, values, hidden_sums], [hidden(0), hidden(1)], n_pairs);
            activate(client, [hidden_sums, values, inputs], places.hidden, n_pairs);
            let output = |side: usize| {
                let layer = learnt.sides[side].output;
                let (lhs, output) = (self.last_inputs(side, n_pairs), places.embedded(side, n_pairs));
                Some(Factors { lhs, rhs: layer.weight().transposed(), output })
            };
            self.product([inputs, values, sums], [output(0), output(1)], n_pairs);
            let biases = learnt.sides.map(|head| head.output.bias);
            embed(client, (sums, places.embedded[1]), (values, Some(biases)), [embedded, lengths], embedding);
        } else {
            embed(client, (inputs, places.features[1]), (inputs, None), [embedded, lengths], embedding);
        }
        let [text, images] = [0, 1].map(|side| places.embedded(side, n_pairs));
        let output = View::new(0, n_pairs, n_pairs);
        let factors = Factors { lhs: text, rhs: images.transposed(), output };
        self.product([embedded, embedded, similarities], [Some(factors), None], n_pairs);
        if let Some(of_training) = of_training {
            relevant(client, of_training, rows, &batch.relevant, (first_pair, n_pairs));
        }
        let (logit_scale, values) = match &self.learnt {
            Some(learnt) => (learnt.places.logit_scale, &learnt.values),
            None => (None, inputs),
        };
        contrast(
            client,
            [similarities, &batch.relevant, values],
            [&batch.lines, &batch.by_similarities, &batch.losses],
            step,
            Contrast { n_pairs, temperature: options.temperature as f32, logit_scale, positives: options.positives },
        );
    }

    /// The gradients of all that is learnt, of the loss that was measured last.
    pub(super) fn differentiate(&self, learnt: &Learnt<R>, n_pairs: usize) {
        let Self { client, batch, .. } = self;
        let Batch { places, inputs, hidden_sums, by_hidden_sums, embedded, lengths, by_embedded, .. } = batch;
        let Learnt { values, gradients, places: of_learnt, .. } = learnt;
        let [text, images] = [0, 1].map(|side| places.embedded(side, n_pairs));
        let by_similarities = View::new(0, n_pairs, n_pairs);
        let by_text = Factors { lhs: by_similarities, rhs: images, output: text };
        let by_images = Factors { lhs: by_similarities.transposed(), rhs: text, output: images };
        self.product([&batch.by_similarities, embedded, by_embedded], [Some(by_text), Some(by_images)], n_pairs);
        if self.options.normalize || of_learnt.logit_scale.is_some() {
            let arrays = [embedded, lengths, by_embedded];
            differentiate_lengths(client, arrays, places.alignments, self.embedding(n_pairs));
        }
        let by_hidden = |side: usize| {
            of_learnt.sides[side].hidden?;
            let (lhs, output) = (places.embedded(side, n_pairs), places.hidden_sums(side, n_pairs));
            Some(Factors { lhs, rhs: of_learnt.sides[side].output.weight(), output })
        };
        self.product([by_embedded, values, by_hidden_sums], [by_hidden(0), by_hidden(1)], n_pairs);
        multiply_slopes(client, [by_hidden_sums, hidden_sums], places.hidden, n_pairs);
        let by_output = |side: usize| {
            let (by_sums, inputs) = (places.embedded(side, n_pairs), self.last_inputs(side, n_pairs));
            let output = of_learnt.sides[side].output.weight();
            Some(Factors { lhs: by_sums.transposed(), rhs: inputs, output })
        };
        self.product([by_embedded, inputs, gradients], [by_output(0), by_output(1)], n_pairs);
        let by_features = |side: usize| {
            let output = of_learnt.sides[side].hidden?.weight();
            let (by_sums, features) = (places.hidden_sums(side, n_pairs), places.features(side, n_pairs));
            Some(Factors { lhs: by_sums.transposed(), rhs: features, output })
        };
        self.product([by_hidden_sums, inputs, gradients], [by_features(0), by_features(1)], n_pairs);
        let biases = |side: usize| Columns {
            first: places.embedded[side],
            width: places.dim,
            sums: of_learnt.sides[side].output.bias,
        };
        // The slope of `s`, where logits are `exp(s) · similarity`, is the sum of those of one side.
        let temperature = of_learnt.logit_scale.map(|sums| Columns { first: places.alignments, width: 1, sums });
        let columns: Vec<Columns> = [biases(0), biases(1)].into_iter().chain(temperature).collect();
        sum_columns(client, [by_embedded, gradients], &columns, n_pairs);
        let biases =
            places.hidden.map(|HiddenLayer { width, sums: first, bias: sums, .. }| Columns { first, width, sums });
        sum_columns(client, [by_hidden_sums, gradients], &biases, n_pairs);
    }

    fn embedding(&self, n_pairs: usize) -> Embedding {
        let BatchPlaces { dim, embedded, .. } = self.batch.places;
        Embedding { n_pairs, width: dim, images: embedded[1], normalize: self.options.normalize }
    }

    /// The inputs of a side's last layer: `[n_pairs, n_inputs]`.
    fn last_inputs(&self, side: usize, n_pairs: usize) -> View {
        let places = &self.batch.places;
        let has_hidden = self.learnt.as_ref().is_some_and(|learnt| learnt.places.sides[side].hidden.is_some());
        if has_hidden { places.hidden(side, n_pairs) } else { places.features(side, n_pairs) }
    }

    /// The products of the sides that have one.
    fn product(&self, arrays: [&Numbers<R>; 3], factors: [Option<Factors>; 2], n_pairs: usize) {
        let factors: Vec<Factors> = factors.into_iter().flatten().collect();
        product((&self.client, &self.device), arrays, &factors, n_pairs, self.options.precision);
    }
}
