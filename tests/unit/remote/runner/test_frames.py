import struct
import unittest

from remote.runner.frames import Decoder, FrameError, encode

GOOD = {"t": "output", "token": "a.1", "offset": 2**53, "at": 1.5, "text": "\u00e4\U0001f600", "none": None}


def raw(text, payload=b""):
    return struct.pack(">IH", 2 + len(text) + len(payload), len(text)) + text + payload


class FramesTest(unittest.TestCase):
    def test_what_is_encoded_is_decoded(self):
        self.assertEqual(
            Decoder().feed(encode(GOOD, b"\0\xff") + encode({"t": "x"})), [(GOOD, b"\0\xff"), ({"t": "x"}, b"")]
        )

    def test_bytes_that_come_one_by_one_give_the_same_frames(self):
        decoder, frames = Decoder(), []
        for byte in encode(GOOD, b"payload") * 2:
            frames += decoder.feed(bytes((byte,)))
        self.assertEqual(frames, [(GOOD, b"payload")] * 2)

    def test_a_size_beyond_a_limit_is_refused_before_the_bytes_come(self):
        for prefix in (struct.pack(">IH", 262145, 2), struct.pack(">IH", 20000, 16385), struct.pack(">IH", 1, 0)):
            for cut in (6, 1):
                decoder = Decoder()
                with self.assertRaises(FrameError):
                    for at in range(0, 6, cut):
                        decoder.feed(prefix[at : at + cut])

    def test_a_header_that_is_no_strict_json_is_refused(self):
        for text in (
            b"",
            b"{}",
            b"[]",
            b'"t"',
            b'{"t":1}',
            b'{"t":"a","t":"b"}',
            b'{"t":"a","b":{"c":1,"c":2}}',
            b'{"t":"a","n":NaN}',
            b'{"t":"a","n":-Infinity}',
            b'{"t":"a","n":1e400}',
            b'{"t":"a","n":9007199254740993}',
            b'{"t":"a","n":' + b"9" * 5000 + b"}",
            b'{"t":"a","s":"\\ud800"}',
            b'{"t":"a","s":"\xed\xa0\x80"}',
            b'{"t":"a","s":"\xff"}',
            b'{"t":"a"} x',
            b'\xef\xbb\xbf{"t":"a"}',
            b'{"t":"a","l":' + b"[" * 8 + b"]" * 8 + b"}",
            b'{"t":"a","l":' + b"[" * 8000 + b"]" * 8000 + b"}",
        ):
            with self.subTest(text[:40]), self.assertRaises(FrameError):
                Decoder().feed(raw(text))

    def test_the_deepest_header_that_is_allowed_is_taken(self):
        text = b'{"t":"a","l":' + b"[" * 7 + b"]" * 7 + b"}"
        self.assertEqual(len(Decoder().feed(raw(text))), 1)

    def test_brackets_in_a_text_are_no_depth(self):
        header = {"t": "a", "s": "[{" * 50}
        self.assertEqual(Decoder().feed(encode(header))[0].header, header)

    def test_after_an_error_nothing_is_decoded_any_more(self):
        decoder = Decoder()
        for data in (raw(b"no"), encode({"t": "x"})):
            with self.assertRaises(FrameError):
                decoder.feed(data)

    def test_what_cannot_be_decoded_is_not_encoded(self):
        for header, payload in (
            ({"t": "\ud800"}, b""),
            ({"t": float("nan")}, b""),
            ({"t": "x" * 17000}, b""),
            ({"t": "x"}, bytes(262144)),
        ):
            with self.assertRaises(FrameError):
                encode(header, payload)

    def test_the_limits_can_be_wider(self):
        data = encode({"t": "x" * 17000}, bytes(300000), max_header=65536, max_frame=1 << 20)
        self.assertEqual(len(Decoder(65536, 1 << 20).feed(data)[0].payload), 300000)
