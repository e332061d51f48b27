//! The remote during a run: reports its faults, and waits for uploads at the end.

use pipeline_core::Event;
use pipeline_store::RemoteNews;

use crate::Cancel;
use crate::state::State;
use crate::watch::Watching;

impl State<'_, '_> {
    /// Reports what people should know about the remote, as soon as it is known.
    pub fn report_remote(&mut self) {
        let Some(remote) = self.resolver.store.remote() else { return };
        for news in remote.take_news() {
            let url = remote.url().to_owned();
            self.journal.emit(match news {
                RemoteNews::Off { reason } => Event::RemoteOff { url, reason },
                RemoteNews::Wrong { name } => Event::RemoteDamaged { url, file: name },
                RemoteNews::TooLarge { name, bytes, free_bytes } => {
                    Event::RemoteTooLarge { url, file: name, bytes, free_bytes }
                }
            });
        }
        // A run that watches may have ended before this worker does.
        if self.journal.is_joined() {
            self.report_untrusted(0);
        }
    }

    /// Reports the records that were not used since the last report because no trusted key has signed them; at least
    /// `n_elsewhere`.
    fn report_untrusted(&mut self, n_elsewhere: u64) {
        let Some(remote) = self.resolver.store.remote() else { return };
        let (url, n_records) = (remote.url().to_owned(), remote.take_untrusted().max(n_elsewhere));
        if n_records > 0 {
            self.journal.emit(Event::RemoteUntrusted { url, n_records });
        }
    }

    /// Waits until the results of this run are in the remote. A cancelled run does not wait: the next one goes on.
    pub fn finish_uploads(&mut self, cancel: &Cancel) {
        let Some(remote) = self.resolver.store.remote() else { return };
        let journal = &mut self.journal;
        remote.wait_for_uploads(&|| cancel.is_cancelled(), &mut |left| {
            let (n_results, seconds) = (left.n_results as u64, left.waited.as_secs_f64());
            journal.emit(Event::RemoteUploading { n_results, bytes: left.bytes, seconds });
        });
        let of_workers = self.watching.as_ref().map_or(0, Watching::n_untrusted);
        self.report_untrusted(of_workers);
        self.report_remote();
    }
}
