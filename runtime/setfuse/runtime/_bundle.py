"""A bundle, in a folder or on the Hub: its manifest, and its files as they are asked for."""

from pathlib import Path

from ._errors import BundleNotFound, HubError, UsageError
from ._hub import find_file_on_hub, is_full_hub_id
from ._manifest import MANIFEST_NAME, Manifest
from ._open_file import OpenFile
from ._variant import BundleFile


class Bundle:
    """Where a bundle's files come from. Of one on the Hub, only what is read is downloaded, all of one commit."""

    def __init__(self, bundle: str | Path, revision: str | None = None) -> None:
        """Find the bundle and read its manifest.

        Args:
            bundle: A folder, or, as a string, a Hub id `org/name` where there is no such folder.
            revision: A branch, tag or commit on the Hub; None for the main branch.

        Raises:
            UsageError: `revision` is given for a folder.
            BundleNotFound: There is no bundle; the Hub does not give one either.
            BundleCorrupt: Its manifest is damaged.
            UnsupportedFormat: Its manifest is of a format version that this release does not know.
        """
        self._hub_id = (
            bundle if isinstance(bundle, str) and is_full_hub_id(bundle) and not Path(bundle).exists() else ""
        )
        if revision is not None and not self._hub_id:
            raise UsageError(f"revision: expected a Hub id like org/name to go with it, got {bundle}")
        self._folder = Path(bundle)
        if self._hub_id:
            try:
                self._folder = find_file_on_hub(self._hub_id, MANIFEST_NAME, revision).parent
            except HubError as error:
                raise BundleNotFound(str(error)) from error
        self.manifest = Manifest.read(self._folder)
        self._folder = self._folder.absolute()  # files may be read after the process has gone elsewhere

    @property
    def address(self) -> tuple[str | Path, str | None]:
        """Where another process finds the same bundle: its folder; or, on the Hub, its id and the commit."""
        if self._hub_id:
            return self._hub_id, self._folder.name
        return self._folder, None

    def read(self, file: BundleFile) -> bytes:
        """Read one of the files, downloading it where need be, and check it against its hash.

        Raises:
            BundleCorrupt: It is missing, or is not what the manifest says.
            HubError: The Hub did not give it.
        """
        self._fetch(file)
        return file.read(self._folder)

    def open(self, file: BundleFile) -> OpenFile:
        """Open one of the files, downloading it where need be.

        Raises:
            BundleCorrupt: It is missing, or cannot be opened.
            HubError: The Hub did not give it.
        """
        self._fetch(file)
        return OpenFile(self._folder, file)

    def _fetch(self, file: BundleFile) -> None:
        if self._hub_id:
            find_file_on_hub(self._hub_id, file.file, revision=self._folder.name)
