//! The splitter against a slow and obvious reading of the same stream.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

/// All events of a stream that arrives in these chunks.
fn split<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
    limit: usize,
) -> Result<Vec<Event>, SseError> {
    let mut splitter = Splitter::with_limit(limit);
    let mut events = Vec::new();
    for chunk in chunks {
        splitter.push(Bytes::copy_from_slice(chunk));
        while let Some(event) = splitter.next()? {
            events.push(event);
        }
    }
    while let Some(event) = splitter.finish()? {
        events.push(event);
    }
    Ok(events)
}

fn whole(stream: &[u8]) -> Vec<Event> {
    split([stream], MAX_EVENT_BYTES).unwrap()
}

/// Lines first, frames second, nothing incremental and nothing shared with the splitter.
fn reference(stream: &[u8]) -> Vec<Event> {
    let stream = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let mut lines: Vec<(Vec<u8>, Vec<u8>)> = vec![(Vec::new(), Vec::new())];
    let mut at = 0;
    while at < stream.len() {
        let end: &[u8] = match stream[at] {
            b'\r' if stream.get(at + 1) == Some(&b'\n') => b"\r\n",
            b'\r' => b"\r",
            b'\n' => b"\n",
            byte => {
                lines.last_mut().unwrap().0.push(byte);
                at += 1;
                continue;
            }
        };
        lines.last_mut().unwrap().1 = end.to_vec();
        lines.push((Vec::new(), Vec::new()));
        at += end.len();
    }
    let mut events = Vec::new();
    let mut frame: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for (text, end) in lines {
        let blank = text.is_empty() && !end.is_empty();
        frame.push((text, end));
        if blank {
            events.push(read(&frame));
            frame.clear();
        }
    }
    if frame.iter().any(|(text, _)| !text.is_empty()) {
        events.push(read(&frame));
    }
    events
}

fn read(frame: &[(Vec<u8>, Vec<u8>)]) -> Event {
    let raw: Vec<u8> =
        frame.iter().flat_map(|(text, end)| [text.as_slice(), end].concat()).collect();
    let (mut data, mut name, mut comment) = (Vec::new(), None, false);
    for (text, _) in frame {
        let mut halves = text.splitn(2, |byte| *byte == b':');
        let field = halves.next().unwrap();
        let value = halves.next();
        let value_text = value.map_or(&b""[..], |value| value.strip_prefix(b" ").unwrap_or(value));
        match field {
            b"data" => data.push(value_text),
            b"event" => name = Some(Bytes::copy_from_slice(value_text)),
            b"" => comment |= value.is_some(),
            _ => {}
        }
    }
    let kind = match (data.is_empty(), comment) {
        (false, _) => EventKind::Data,
        (true, true) => EventKind::Comment,
        (true, false) => EventKind::Blank,
    };
    Event { raw: raw.into(), name, data: data.join(&b'\n').into(), kind }
}

#[test]
fn reads_every_kind_of_line() {
    let events =
        whole(b"\xef\xbb\xbf: hello\n\nevent: a\r\ndata:1\r\ndata:  2\r\n\r\ndata\rid: 7\r\r\n");
    let seen: Vec<_> =
        events.iter().map(|e| (e.kind, e.name.as_deref(), e.data.as_ref())).collect();
    let expected: Vec<(_, Option<&[u8]>, &[u8])> = vec![
        (EventKind::Comment, None, b""),
        (EventKind::Data, Some(b"a"), b"1\n 2"),
        (EventKind::Data, None, b""),
    ];
    assert_eq!(seen, expected);
    assert_eq!(events[0].raw, ": hello\n\n", "the byte order mark is not part of a frame");
    assert_eq!(events[2].raw, "data\rid: 7\r\r\n");
}

#[test]
fn the_end_of_the_stream_flushes() {
    assert_eq!(whole(b"data: x")[0].data, "x");
    assert_eq!(whole(b"data: x\r\n\r")[0].data, "x");
    assert_eq!(whole(b""), []);
}

#[test]
fn a_frame_within_a_chunk_is_not_copied() {
    let chunk = Bytes::from_static(b"data: 1\n\ndata: 2\n\ndata");
    let mut splitter = Splitter::new();
    splitter.push(chunk.clone());
    for start in [0, 9] {
        let event = splitter.next().unwrap().unwrap();
        assert_eq!(event.raw.as_ptr(), chunk[start..].as_ptr());
        assert_eq!(event.data.as_ptr(), chunk[start + 6..].as_ptr());
    }
    assert_eq!(splitter.next(), Ok(None));
}

#[test]
fn a_frame_is_out_as_soon_as_its_blank_line_is_in() {
    for frame in ["data: 1\n\n", "data: 1\r\n\r\n"] {
        let mut splitter = Splitter::new();
        splitter.push(Bytes::from_static(frame.as_bytes()));
        assert_eq!(splitter.next().unwrap().unwrap().data, "1");
    }
}

#[test]
fn pushing_early_loses_nothing() {
    let mut splitter = Splitter::new();
    splitter.push(Bytes::from_static(b"data: 1\n\nda"));
    splitter.push(Bytes::from_static(b"ta: 2\n\n"));
    assert_eq!(splitter.finish().unwrap().unwrap().data, "1");
    assert_eq!(splitter.finish().unwrap().unwrap().data, "2");
    assert_eq!(splitter.finish(), Ok(None));
}

#[test]
fn large_events_fail_for_good() {
    let largest = [b"data:", vec![b'x'; MAX_EVENT_BYTES - 7].as_slice(), b"\n\n"].concat();
    assert_eq!(whole(&largest).len(), 1);
    let mut splitter = Splitter::new();
    splitter.push(Bytes::from(vec![b'x'; MAX_EVENT_BYTES]));
    assert_eq!(splitter.next(), Ok(None));
    splitter.push(Bytes::from_static(b"x"));
    let error = SseError::TooLarge { max_bytes: MAX_EVENT_BYTES };
    assert_eq!(splitter.next(), Err(error));
    splitter.push(Bytes::from_static(b"\n\ndata: 1\n\n"));
    assert_eq!(splitter.next(), Err(error));
    assert_eq!(splitter.finish(), Err(error));
}

#[test]
fn what_we_make_reads_back() {
    let events = whole(&[frame(b"{}"), comment("trunk\nline")].concat());
    assert_eq!((events[0].data.as_ref(), events[0].kind), (&b"{}"[..], EventKind::Data));
    assert_eq!(
        (events[1].raw.as_ref(), events[1].kind),
        (&b": trunkline\n\n"[..], EventKind::Comment)
    );
}

#[test]
fn a_frame_of_ours_has_one_data_line() {
    let frame = frame(b"{\n\"a\":\n\n1}\n");
    assert_eq!(frame, "data: { \"a\":  1} \n\n");
    assert_eq!(whole(&frame).len(), 1);
}

/// Streams made of what matters to the splitter.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        &b"\n"[..],
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\r\n\r\n",
        b"data: x",
        b"data:",
        b"data",
        b"event: e",
        b":",
        b": c",
        b" ",
        b"id: 1",
        b"\xef\xbb\xbf",
        b"\xef",
        b"\xbb",
        b"\xff",
        b"{\"a\":1}",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// `stream` cut at these places, empty chunks included.
fn cut<'a>(stream: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|at| at % (stream.len() + 1)).collect();
    cuts.sort_unstable();
    let starts = std::iter::once(0).chain(cuts.clone());
    starts.zip(cuts.iter().copied().chain([stream.len()])).map(|(a, b)| &stream[a..b]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn reads_as_the_reference(stream in stream()) {
        prop_assert_eq!(whole(&stream), reference(&stream));
    }

    #[test]
    fn cutting_makes_no_difference(
        stream in stream(),
        cuts in prop::collection::vec(0_usize..200, 0..12),
        limit in 1_usize..40,
    ) {
        prop_assert_eq!(split(cut(&stream, &cuts), MAX_EVENT_BYTES), Ok(whole(&stream)));
        prop_assert_eq!(split(cut(&stream, &cuts), limit), split([stream.as_slice()], limit));
    }

    #[test]
    fn arbitrary_bytes_are_all_forwarded(
        stream in prop::collection::vec(any::<u8>(), 0..100),
        cuts in prop::collection::vec(0_usize..100, 0..6),
    ) {
        let events = split(cut(&stream, &cuts), MAX_EVENT_BYTES).unwrap();
        let raw: Vec<u8> = events.iter().flat_map(|event| event.raw.to_vec()).collect();
        let marked = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&stream);
        prop_assert_eq!(raw, marked);
    }
}
