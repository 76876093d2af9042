"""What the guest's metrics (guest/*_metrics.cpp) are, and the goal for each: instructions, those of the program's own call
included. A value is one operation's, or one page's where the title says so."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Operation:
    name: str  # of the metric
    title: str
    goal: int | None = None


OPERATIONS = [
    Operation("empty_call", "empty call (getppid)", 60),
    Operation("write_fault", "first write to a page, alone", 600),
    Operation("sequential_touch", "first writes to 64 MiB in order, a page", 380),
    Operation("read_fault", "first read of a page", 160),
    Operation("write_after_read", "write to a page that was only read", 620),
    Operation("map_page", "mmap of a page, untouched", 250),
    Operation("unmap_touched_page", "munmap of a touched page", 300),
    Operation("map_touch_unmap_page", "mmap, touch, munmap of a page", 1000),
    Operation("map_touch_unmap_megabyte", "mmap, touch, munmap of 1 MiB, a page", 430),
    Operation("unmap_large", "munmap of 64 MiB touched, a page", 40),
    Operation("reserve_terabyte", "mmap of 1 TiB, untouched", 300),
    Operation("populate_megabyte", "mmap of 1 MiB with MAP_POPULATE, a page", 350),
    Operation("protect_split", "mprotect of a page inside a region", 220),
    Operation("protect_merge", "... and back", 220),
    Operation("protect_page", "mprotect of a whole region of a page", 180),
    Operation("protect_large", "mprotect of 64 MiB touched, a page", 20),
    Operation("discard_page", "madvise(DONTNEED) of a page", 220),
    Operation("discard_large", "madvise(DONTNEED) of 64 MiB, a page", 40),
    Operation("grow_heap", "brk by a page and touch", 800),
    Operation("move_page", "mremap to elsewhere, a page", 500),
    Operation("move_megabyte", "mremap of 1 MiB to elsewhere, a page", 12),
    Operation("file_read_fault", "read of a mapped file, a page", 45),
    Operation("file_map_read_unmap", "mmap, read, munmap of a file of 8 MiB, a page", 90),
    Operation("file_shared_write", "write to a mapped file, shared", 250),
    Operation("file_private_write", "write to a mapped file, private (copy)", 800),
    Operation("file_first_read", "first read of a mapping of a file", 720),
    Operation("file_first_shared_write", "first write to a mapping of a file, shared", 720),
    Operation("file_first_private_write", "first write to a mapping of a file, private (copy)", 1200),
    Operation("shared_first_write", "first write to shared memory", 700),
    Operation("copy_after_fork", "copy on write after fork", 760),
    Operation("reuse_after_fork", "write after fork by the sole owner", 160),
    Operation("large_fault", "first write to a page of 2 MiB (advised)", 165_000),
    Operation("large_touch", "first writes to 64 MiB in order with such pages, a page"),
    Operation("large_unmap", "munmap of 64 MiB of such pages, a page"),
    Operation("large_copy_after_fork", "first write after fork to such a page"),
    Operation("handled_fault", "SIGSEGV, mprotect in its handler, return", 1200),
    Operation("signal_round_trip", "signal to oneself, its handler, return", 900),
    Operation("fork_small", "fork, parent's side, small process", 8000),
    Operation("fork_256_megabytes", "fork, parent's side, 256 MiB touched", 8500),
    Operation("fork_exit_wait_small", "fork, exit, wait: small process", 25000),
    Operation("fork_exit_wait_1_megabyte", "fork, exit, wait: 1 MiB touched", 25000),
    Operation("fork_exit_wait_64_megabytes", "fork, exit, wait: 64 MiB touched", 30000),
    Operation("fork_exit_wait_256_megabytes", "fork, exit, wait: 256 MiB touched", 30000),
    Operation("execute_tiny", "vfork, exec, exit, wait: the smallest program"),
    Operation("execute_glibc", "vfork, exec, exit, wait: a static glibc program", 60000),
    Operation("fork_execute_glibc", "fork, exec, exit, wait: a static glibc program", 70000),
    Operation("thread_create_join", "pthread_create, pthread_join", 10000),
    Operation("futex_wake", "futex: wake where nobody waits", 120),
    Operation("futex_round_trip", "futex: to another thread and back", 1900),
    Operation("thread_switch", "sched_yield to another thread", 400),
    Operation("process_switch", "sched_yield to another process", 420),
    Operation("pipe_round_trip", "a byte through pipes to another process and back", 2500),
]

# Counted by boots of their own (boot.py), not by the guest's program.
BOOT_OPERATIONS = [
    Operation("boot", "reset to the first program, 256 MiB", 2_000_000),
    Operation("boot_gigabyte", "... for each GiB of memory more", 50_000),
]
