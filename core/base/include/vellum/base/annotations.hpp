// Clang's thread-safety attributes under readable names [clang, "Thread Safety Analysis"]. Violations are errors.
#pragma once

#define VELLUM_CAPABILITY(name) __attribute__((capability(name)))
#define VELLUM_SCOPED_CAPABILITY __attribute__((scoped_lockable))
#define VELLUM_GUARDED_BY(...) __attribute__((guarded_by(__VA_ARGS__)))
#define VELLUM_PT_GUARDED_BY(...) __attribute__((pt_guarded_by(__VA_ARGS__)))
#define VELLUM_REQUIRES(...) __attribute__((requires_capability(__VA_ARGS__)))
#define VELLUM_ACQUIRE(...) __attribute__((acquire_capability(__VA_ARGS__)))
#define VELLUM_TRY_ACQUIRE(...) __attribute__((try_acquire_capability(__VA_ARGS__)))
#define VELLUM_RELEASE(...) __attribute__((release_capability(__VA_ARGS__)))
#define VELLUM_EXCLUDES(...) __attribute__((locks_excluded(__VA_ARGS__)))
#define VELLUM_RETURN_CAPABILITY(...) __attribute__((lock_returned(__VA_ARGS__)))
#define VELLUM_ASSERT_CAPABILITY(...) __attribute__((assert_capability(__VA_ARGS__)))
// Only inside a lock's or a cursor's own implementation, with the reason beside it.
#define VELLUM_NO_THREAD_SAFETY_ANALYSIS __attribute__((no_thread_safety_analysis))
