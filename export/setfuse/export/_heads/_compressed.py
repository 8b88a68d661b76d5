"""Undo the compression of a joblib file."""

import bz2
import io
import lzma
import zlib

from ._arrays import Damaged

MAX_BYTES = 1 << 31
"""Of a head, decompressed: far more than any head has, and less than would bring a machine down."""


def decompressed(data: bytes) -> io.BytesIO:
    """Undo joblib's compression, which the first bytes tell.

    Raises:
        Damaged: More than MAX_BYTES would come out.
    """
    rest: bytes | bool = b""
    if data[:1] == b"x" or data[:2] == b"\x1f\x8b":
        inflate = zlib.decompressobj(wbits=47)  # zlib and gzip
        data = inflate.decompress(data, MAX_BYTES)
        rest = not inflate.eof
    elif data[:3] == b"BZh":
        bunzip = bz2.BZ2Decompressor()
        data = bunzip.decompress(data, MAX_BYTES)
        rest = not bunzip.eof
    elif data[:2] == b"\x5d\x00" or data[:5] == b"\xfd7zXZ":
        unlzma = lzma.LZMADecompressor()
        data = unlzma.decompress(data, MAX_BYTES)
        rest = not unlzma.eof
    if rest or len(data) > MAX_BYTES:
        raise Damaged(f"a file that is cut short, or of more than {MAX_BYTES} bytes")
    return io.BytesIO(data)
