//! Clients that are slow, silent or many.

use std::net::TcpStream;

use super::*;

const QUICK: Patience = Patience {
    patience: Duration::from_millis(300),
    heartbeat: Duration::from_millis(200),
    end: Duration::from_secs(2),
};

/// Serves on a free port while `visit` runs with its address.
fn visited(answering: Answering<'_>, visit: impl FnOnce(&str)) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let connections = Connections::new(listener, QUICK).unwrap();
    let stop = connections.stop();
    std::thread::scope(|scope| {
        let served = scope.spawn(|| connections.serve(&["/upload"], answering));
        // The server ends also when a visitor fails.
        let visited = catch_unwind(AssertUnwindSafe(|| visit(&address)));
        stop.stop();
        served.join().unwrap().unwrap();
        visited.unwrap();
    });
}

fn size_of_body(request: Request) -> Answer<'static> {
    Answer::Response(Response::text(200, &format!("{} {}", request.path, request.body.len())))
}

fn asked(address: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request).unwrap();
    rest(&mut stream)
}

fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A connection that is reset ends the answer, too.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn a_body_arrives_in_pieces_and_a_client_that_asks_first_is_answered() {
    visited(&size_of_body, |address| {
        let mut stream = TcpStream::connect(address).unwrap();
        let head = "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000\r\nExpect: 100-continue\r\n\r\n";
        stream.write_all(&head.as_bytes()[..30]).unwrap();
        stream.write_all(&head.as_bytes()[30..]).unwrap();
        let mut word = [0; 25];
        stream.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"HTTP/1.1 100 Continue\r\n\r\n");
        for _ in 0..3 {
            stream.write_all(&[7; 100_000]).unwrap();
        }
        assert!(rest(&mut stream).ends_with("\r\n\r\n/upload 300000\n"));
        let whole =
            [b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n".as_slice(), b"abc"].concat();
        assert!(asked(address, &whole).ends_with("/upload 3\n"));
    });
}

#[test]
fn slow_clients_get_their_time_and_keep_nobody_waiting() {
    visited(&size_of_body, |address| {
        // Each sends the beginning of a head, or of a body, and then nothing.
        let half = b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc";
        let mut slow: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
        for (idx, stream) in slow.iter_mut().enumerate() {
            stream.write_all(if idx < 3 { half } else { &GET[..idx % GET.len()] }).unwrap();
        }
        let start = Instant::now();
        assert!(asked(address, GET).starts_with("HTTP/1.1 200 OK"));
        assert!(start.elapsed() < QUICK.patience, "it did not wait for the others");
        for stream in &mut slow {
            let answer = rest(stream);
            assert!(answer.starts_with("HTTP/1.1 408 Request Timeout"), "{answer}");
        }
    });
}

#[test]
fn more_connections_than_there_is_place_for_push_out_the_silent_ones() {
    visited(&size_of_body, |address| {
        let silent: Vec<TcpStream> = (0..1000).map(|_| TcpStream::connect(address).unwrap()).collect();
        // On a busy machine, one that asks may be among those that are pushed out.
        assert!((0..5).any(|_| asked(address, GET).starts_with("HTTP/1.1 200 OK")));
        drop(silent);
    });
}

#[test]
fn few_images_are_in_memory_at_once() {
    visited(&size_of_body, |address| {
        let half = b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc";
        let mut uploads: Vec<TcpStream> = (0..=MAX_UPLOADS).map(|_| TcpStream::connect(address).unwrap()).collect();
        uploads.iter_mut().for_each(|stream| stream.write_all(half).unwrap());
        // Which of them was too much depends on the order in which they came.
        let answers: Vec<String> = uploads.iter_mut().map(rest).collect();
        let busy = answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 503")).count();
        assert_eq!(busy, 1, "{answers:?}");
    });
}

#[test]
fn a_stream_lives_as_long_as_its_reader_keeps_up_and_says_that_it_lives() {
    /// Says when it is dropped.
    struct Dropped(Sender<()>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (dropped, is_dropped) = channel();
    let dropped = Mutex::new(dropped);
    let stream = |request: Request| -> Answer<'_> {
        let (is_much, mut is_first) = (request.path == "/much", true);
        let guard = is_much.then(|| Dropped(dropped.lock().unwrap().clone()));
        Answer::Stream(Box::new(move || {
            let _ = &guard;
            match (is_much, std::mem::take(&mut is_first)) {
                (true, _) => b"data: x\n\n".repeat(100_000),
                (false, true) => b"data: first\n\n".to_vec(),
                (false, false) => Vec::new(),
            }
        }))
    };
    visited(&stream, |address| {
        let mut reader = TcpStream::connect(address).unwrap();
        reader.write_all(b"GET /few HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut text = String::new();
        while !text.contains("\r\n\r\ndata: first\n\n: nothing new\n\n") {
            let mut chunk = [0; 1000];
            let n_bytes = reader.read(&mut chunk).unwrap();
            assert!(n_bytes > 0, "the stream goes on: {text}");
            text += str::from_utf8(&chunk[..n_bytes]).unwrap();
        }
        assert!(text.contains("Content-Type: text/event-stream") && !text.contains("Content-Length"));
        // A reader that reads nothing is cut off in the middle, and the others go on.
        let mut lazy = TcpStream::connect(address).unwrap();
        lazy.write_all(b"GET /much HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        is_dropped.recv().unwrap();
        assert!(reader.read(&mut [0; 100]).is_ok_and(|n_bytes| n_bytes > 0), "it still says that it lives");
        assert!(rest(&mut lazy).contains("text/event-stream"), "what it had got");
    });
}

#[test]
fn too_many_streams_are_turned_away_and_others_are_answered() {
    let stream = |request: Request| match request.path.as_str() {
        "/events" => Answer::Stream(Box::new(|| b"data: x\n\n".to_vec())),
        _ => size_of_body(request),
    };
    visited(&stream, |address| {
        let mut streams: Vec<TcpStream> = (0..MAX_STREAMS).map(|_| TcpStream::connect(address).unwrap()).collect();
        for stream in &mut streams {
            stream.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            stream.read_exact(&mut [0; 17]).unwrap();
        }
        assert!(asked(address, b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").starts_with("HTTP/1.1 503"));
        assert!(asked(address, GET).starts_with("HTTP/1.1 200 OK"));
    });
}

#[test]
fn a_panic_is_an_answer_and_the_thread_goes_on() {
    let answering = |request: Request| match request.path.as_str() {
        "/panic" => panic!("BUG: a test"),
        _ => size_of_body(request),
    };
    visited(&answering, |address| {
        for _ in 0..=N_THREADS {
            let answer = asked(address, b"GET /panic HTTP/1.1\r\nHost: localhost\r\n\r\n");
            assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
        }
        assert!(asked(address, GET).starts_with("HTTP/1.1 200 OK"));
    });
}
