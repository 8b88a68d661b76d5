"""Undo the compression of a joblib file."""

import bz2
import io
import lzma
import zlib

from ._record import Damaged

MAX_BYTES = 1 << 31
"""Of a head, decompressed: far more than any head has, and less than would bring a machine down."""

LEAST = 1 << 28
"""Bytes that any file may unpack to."""

RATIO = 100
"""How many times its size a larger file may unpack to; forests take ten."""

LZMA_MEMORY = 1 << 27
"""What lzma may take to unpack: twice what its highest preset does."""


def decompressed(data: bytes) -> io.BytesIO:
    """Undo joblib's compression, which the first bytes tell.

    Raises:
        Damaged: It is cut short, or more would come out than of a head of its size.
    """
    most = min(MAX_BYTES, max(LEAST, RATIO * len(data)))
    rest: bytes | bool = b""
    if data[:1] == b"x" or data[:2] == b"\x1f\x8b":
        inflate = zlib.decompressobj(wbits=47)  # zlib and gzip
        data = inflate.decompress(data, most)
        rest = not inflate.eof
    elif data[:3] == b"BZh":
        bunzip = bz2.BZ2Decompressor()
        data = bunzip.decompress(data, most)
        rest = not bunzip.eof
    elif data[:2] == b"\x5d\x00" or data[:5] == b"\xfd7zXZ":
        unlzma = lzma.LZMADecompressor(memlimit=LZMA_MEMORY)
        data = unlzma.decompress(data, most)
        rest = not unlzma.eof
    if rest or len(data) > MAX_BYTES:
        raise Damaged(f"a file that is cut short, or of more than {most} bytes")
    return io.BytesIO(data)
