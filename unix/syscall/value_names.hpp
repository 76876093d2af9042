// The names of arguments' values that several tables of calls use.
#pragma once

#include <vellum/unix/system_call.hpp>

namespace vellum::unix::value_names {

extern const ValueNames kProtections;
extern const ValueNames kMapFlags;
extern const ValueNames kRemapFlags;
extern const ValueNames kSyncFlags;
extern const ValueNames kAdvice;
extern const ValueNames kLockFlags;
extern const ValueNames kLockAllFlags;
extern const ValueNames kMemoryFileFlags;
extern const ValueNames kSegmentFlags;
extern const ValueNames kAttachFlags;
extern const ValueNames kSegmentCommands;
extern const ValueNames kOpenFlags;
extern const ValueNames kCloneFlags;
extern const ValueNames kFutexOperations;
extern const ValueNames kSignals;
extern const ValueNames kWaitOptions;
extern const ValueNames kWhence;
extern const ValueNames kResources;

}  // namespace vellum::unix::value_names
