"""Run code in Kernelhub's persistent interpreters.

from kernelhub import Client

with Client() as hub:
    hub.execute("x = 41")
    print(hub.execute("print(x + 1)").stdout)
"""

from ._requests import (
    ExecOptions,
    ExecuteOptions,
    HistoryFilters,
    ListOptions,
    OutputOptions,
    ReplayOptions,
    SandboxChanges,
    SandboxOptions,
)
from ._retry import RetryPolicy
from ._version import __version__
from .async_client import AsyncClient
from .batch import Batch
from .client import Client
from .errors import (
    AuthenticationError,
    BusyError,
    ConfigurationError,
    ConflictError,
    ConnectionError_,
    ExecutionError,
    GoneError,
    InternalError,
    InvalidRequestError,
    KernelDiedError,
    KernelhubError,
    MethodNotAllowedError,
    NotFoundError,
    PackageError,
    PermissionDeniedError,
    PolicyDeniedError,
    PreconditionFailedError,
    ProtocolError,
    QuotaExceededError,
    RangeNotSatisfiableError,
    RateLimitedError,
    SandboxFailedError,
    TimeoutError_,
    TooLargeError,
    UnavailableError,
    UnsupportedMediaTypeError,
)
from .event import Event
from .execution import ErrorInfo, Execution, FileChange, ResourceUsage, Result, Timing
from .file_info import FileInfo, FileUsage
from .info import Health, Image, Language, SandboxInfo, SessionInfo
from .output import Output
from .package_info import AllowedPackages, PackageInfo, PackageInstall
from .run import AsyncRun, Run
from .sandbox import AsyncSandbox, Sandbox
from .session import AsyncSession, Session

__all__ = [
    "AllowedPackages",
    "AsyncClient",
    "AsyncRun",
    "AsyncSandbox",
    "AsyncSession",
    "AuthenticationError",
    "Batch",
    "BusyError",
    "Client",
    "ConfigurationError",
    "ConflictError",
    "ConnectionError_",
    "ErrorInfo",
    "Event",
    "ExecOptions",
    "ExecuteOptions",
    "Execution",
    "ExecutionError",
    "FileChange",
    "FileInfo",
    "FileUsage",
    "GoneError",
    "Health",
    "HistoryFilters",
    "Image",
    "InternalError",
    "InvalidRequestError",
    "KernelDiedError",
    "KernelhubError",
    "Language",
    "ListOptions",
    "MethodNotAllowedError",
    "NotFoundError",
    "Output",
    "OutputOptions",
    "PackageError",
    "PackageInfo",
    "PackageInstall",
    "PermissionDeniedError",
    "PolicyDeniedError",
    "PreconditionFailedError",
    "ProtocolError",
    "QuotaExceededError",
    "RangeNotSatisfiableError",
    "RateLimitedError",
    "ReplayOptions",
    "ResourceUsage",
    "Result",
    "RetryPolicy",
    "Run",
    "Sandbox",
    "SandboxChanges",
    "SandboxFailedError",
    "SandboxInfo",
    "SandboxOptions",
    "Session",
    "SessionInfo",
    "TimeoutError_",
    "Timing",
    "TooLargeError",
    "UnavailableError",
    "UnsupportedMediaTypeError",
    "__version__",
]
