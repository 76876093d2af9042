// The names of the values that calls on files, processes and signals take.
#include "value_names.hpp"

namespace vellum::unix::value_names {

namespace {

constexpr std::uint64_t kAnyNumber = ~std::uint64_t{0};

constexpr NamedValue kOpenValues[] = {
    {0, "O_RDONLY"},          {1, "O_WRONLY"},          {2, "O_RDWR"},
    {0100, "O_CREAT"},        {0200, "O_EXCL"},         {0400, "O_NOCTTY"},
    {01000, "O_TRUNC"},       {02000, "O_APPEND"},      {04000, "O_NONBLOCK"},
    {04010000, "O_SYNC"},     {010000, "O_DSYNC"},      {040000, "O_DIRECT"},
    {0100000, "O_LARGEFILE"}, {020200000, "O_TMPFILE"}, {0200000, "O_DIRECTORY"},
    {0400000, "O_NOFOLLOW"},  {01000000, "O_NOATIME"},  {02000000, "O_CLOEXEC"},
    {010000000, "O_PATH"},
};

constexpr NamedValue kCloneValues[] = {
    {0x100, "CLONE_VM"},
    {0x200, "CLONE_FS"},
    {0x400, "CLONE_FILES"},
    {0x800, "CLONE_SIGHAND", "without CLONE_THREAD the child has a copy"},
    {0x4000, "CLONE_VFORK"},
    {0x8000, "CLONE_PARENT"},
    {0x10000, "CLONE_THREAD"},
    {0x40000, "CLONE_SYSVSEM", "no effect"},
    {0x80000, "CLONE_SETTLS"},
    {0x100000, "CLONE_PARENT_SETTID"},
    {0x200000, "CLONE_CHILD_CLEARTID"},
    {0x400000, "CLONE_DETACHED", "no effect"},
    {0x800000, "CLONE_UNTRACED", "no effect"},
    {0x1000000, "CLONE_CHILD_SETTID"},
};

constexpr NamedValue kFutexValues[] = {
    {0, "FUTEX_WAIT"},        {1, "FUTEX_WAKE"},         {3, "FUTEX_REQUEUE"},         {4, "FUTEX_CMP_REQUEUE"},
    {9, "FUTEX_WAIT_BITSET"}, {10, "FUTEX_WAKE_BITSET"}, {0x80, "FUTEX_PRIVATE_FLAG"}, {0x100, "FUTEX_CLOCK_REALTIME"},
};

constexpr NamedValue kSignalValues[] = {
    {1, "SIGHUP"},   {2, "SIGINT"},     {3, "SIGQUIT"},  {4, "SIGILL"},     {5, "SIGTRAP"},  {6, "SIGABRT"},
    {7, "SIGBUS"},   {8, "SIGFPE"},     {9, "SIGKILL"},  {10, "SIGUSR1"},   {11, "SIGSEGV"}, {12, "SIGUSR2"},
    {13, "SIGPIPE"}, {14, "SIGALRM"},   {15, "SIGTERM"}, {16, "SIGSTKFLT"}, {17, "SIGCHLD"}, {18, "SIGCONT"},
    {19, "SIGSTOP"}, {20, "SIGTSTP"},   {21, "SIGTTIN"}, {22, "SIGTTOU"},   {23, "SIGURG"},  {24, "SIGXCPU"},
    {25, "SIGXFSZ"}, {26, "SIGVTALRM"}, {27, "SIGPROF"}, {28, "SIGWINCH"},  {29, "SIGIO"},   {30, "SIGPWR"},
    {31, "SIGSYS"},
};

constexpr NamedValue kWaitValues[] = {
    {1, "WNOHANG"}, {2, "WUNTRACED"}, {4, "WEXITED"}, {8, "WCONTINUED"}, {0x0100'0000, "WNOWAIT"}};

constexpr NamedValue kWhenceValues[] = {
    {0, "SEEK_SET"}, {1, "SEEK_CUR"}, {2, "SEEK_END"}, {3, "SEEK_DATA"}, {4, "SEEK_HOLE"}};

constexpr NamedValue kResourceValues[] = {
    {0, "RLIMIT_CPU"},       {1, "RLIMIT_FSIZE"}, {2, "RLIMIT_DATA"},    {3, "RLIMIT_STACK"},
    {4, "RLIMIT_CORE"},      {5, "RLIMIT_RSS"},   {6, "RLIMIT_NPROC"},   {7, "RLIMIT_NOFILE"},
    {8, "RLIMIT_MEMLOCK"},   {9, "RLIMIT_AS"},    {10, "RLIMIT_LOCKS"},  {11, "RLIMIT_SIGPENDING"},
    {12, "RLIMIT_MSGQUEUE"}, {13, "RLIMIT_NICE"}, {14, "RLIMIT_RTPRIO"}, {15, "RLIMIT_RTTIME"},
};

}  // namespace

constinit const ValueNames kOpenFlags = {kOpenValues, 3};
constinit const ValueNames kCloneFlags = {kCloneValues};
constinit const ValueNames kFutexOperations = {kFutexValues, 0x7f};
constinit const ValueNames kSignals = {kSignalValues, kAnyNumber};
constinit const ValueNames kWaitOptions = {kWaitValues};
constinit const ValueNames kWhence = {kWhenceValues, kAnyNumber};
constinit const ValueNames kResources = {kResourceValues, kAnyNumber};

}  // namespace vellum::unix::value_names
