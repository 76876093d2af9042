// The names of the values that memory calls take. What is said of each is checked by the cases of test/programs.
#include "value_names.hpp"

namespace vellum::unix::value_names {

namespace {

constexpr std::uint64_t kAnyNumber = ~std::uint64_t{0};

constexpr NamedValue kProtectionValues[] = {
    {0, "PROT_NONE"},
    {1, "PROT_READ"},
    {2, "PROT_WRITE", "lets read too"},
    {4, "PROT_EXEC", "lets read too"},
    {8, "PROT_SEM", "no effect"},
    {0x0100'0000, "PROT_GROWSDOWN", "mprotect: from the start of the stack"},
    {0x0200'0000, "PROT_GROWSUP", "EINVAL: nothing grows upwards"},
};

constexpr NamedValue kMapValues[] = {
    {1, "MAP_SHARED"},
    {2, "MAP_PRIVATE"},
    {3, "MAP_SHARED_VALIDATE", "EOPNOTSUPP for flags that are not known"},
    {0x10, "MAP_FIXED"},
    {0x20, "MAP_ANONYMOUS"},
    {0x40, "MAP_32BIT", "in the second gigabyte"},
    {0x100, "MAP_GROWSDOWN", "private and anonymous only"},
    {0x800, "MAP_DENYWRITE", "no effect"},
    {0x1000, "MAP_EXECUTABLE", "no effect"},
    {0x2000, "MAP_LOCKED", "present at once, and stays"},
    {0x4000, "MAP_NORESERVE"},
    {0x8000, "MAP_POPULATE"},
    {0x10000, "MAP_NONBLOCK", "with MAP_POPULATE: nothing is read ahead"},
    {0x20000, "MAP_STACK", "no effect"},
    {0x40000, "MAP_HUGETLB", "ENOMEM: no huge pages are set aside"},
    {0x80000, "MAP_SYNC", "EOPNOTSUPP with MAP_SHARED_VALIDATE; else no effect"},
    {0x100000, "MAP_FIXED_NOREPLACE"},
};

constexpr NamedValue kRemapValues[] = {{1, "MREMAP_MAYMOVE"}, {2, "MREMAP_FIXED"}, {4, "MREMAP_DONTUNMAP"}};

constexpr NamedValue kSyncValues[] = {{1, "MS_ASYNC"}, {2, "MS_INVALIDATE"}, {4, "MS_SYNC"}};

constexpr NamedValue kAdviceValues[] = {
    {0, "MADV_NORMAL", "no effect"},
    {1, "MADV_RANDOM", "no effect"},
    {2, "MADV_SEQUENTIAL", "no effect"},
    {3, "MADV_WILLNEED"},
    {4, "MADV_DONTNEED"},
    {8, "MADV_FREE", "at once, as MADV_DONTNEED"},
    {9, "MADV_REMOVE", "the memory is given back but for what a file of the host has: there zeros are written"},
    {10, "MADV_DONTFORK"},
    {11, "MADV_DOFORK"},
    {12, "MADV_MERGEABLE", "EINVAL, as on Linux without KSM"},
    {13, "MADV_UNMERGEABLE", "EINVAL, as on Linux without KSM"},
    {14, "MADV_HUGEPAGE", "for private memory without a file; where it is not whole and free yet, pages stay small"},
    {15, "MADV_NOHUGEPAGE"},
    {16, "MADV_DONTDUMP", "no effect: no core files are written"},
    {17, "MADV_DODUMP", "no effect: no core files are written"},
    {18, "MADV_WIPEONFORK"},
    {19, "MADV_KEEPONFORK"},
    {20, "MADV_COLD", "no effect but its errors"},
    {21, "MADV_PAGEOUT", "clean pages of files that nobody else maps go; there is no swap for the rest"},
    {22, "MADV_POPULATE_READ"},
    {23, "MADV_POPULATE_WRITE"},
    {24, "MADV_DONTNEED_LOCKED"},
};

constexpr NamedValue kLockValues[] = {{1, "MLOCK_ONFAULT"}};
constexpr NamedValue kLockAllValues[] = {{1, "MCL_CURRENT"}, {2, "MCL_FUTURE"}, {4, "MCL_ONFAULT"}};

constexpr NamedValue kMemoryFileValues[] = {
    {1, "MFD_CLOEXEC"}, {2, "MFD_ALLOW_SEALING"}, {4, "MFD_HUGETLB", "ENOSYS, as where no file system has such pages"}};

constexpr NamedValue kSegmentValues[] = {
    {01000, "IPC_CREAT"},
    {02000, "IPC_EXCL"},
    {04000, "SHM_HUGETLB", "ENOMEM: no huge pages are set aside"},
    {010000, "SHM_NORESERVE"},
};
constexpr NamedValue kAttachValues[] = {
    {010000, "SHM_RDONLY"}, {020000, "SHM_RND"}, {040000, "SHM_REMAP"}, {0100000, "SHM_EXEC"}};
constexpr NamedValue kSegmentCommandValues[] = {
    {0, "IPC_RMID"},
    {1, "IPC_SET"},
    {2, "IPC_STAT"},
    {3, "IPC_INFO"},
    {11, "SHM_LOCK", "a mark only"},
    {12, "SHM_UNLOCK", "a mark only"},
    {13, "SHM_STAT"},
    {14, "SHM_INFO"},
    {15, "SHM_STAT_ANY"},
};

}  // namespace

constinit const ValueNames kProtections = {kProtectionValues};
constinit const ValueNames kMapFlags = {kMapValues, 0xf};
constinit const ValueNames kRemapFlags = {kRemapValues};
constinit const ValueNames kSyncFlags = {kSyncValues};
constinit const ValueNames kAdvice = {kAdviceValues, kAnyNumber};
constinit const ValueNames kLockFlags = {kLockValues};
constinit const ValueNames kLockAllFlags = {kLockAllValues};
constinit const ValueNames kMemoryFileFlags = {kMemoryFileValues};
constinit const ValueNames kSegmentFlags = {kSegmentValues};
constinit const ValueNames kAttachFlags = {kAttachValues};
constinit const ValueNames kSegmentCommands = {kSegmentCommandValues, kAnyNumber};

}  // namespace vellum::unix::value_names
