// For the start: what lacks then lacks for good, so there is nobody to give the error to.
#pragma once

#include <utility>

#include <vellum/base/result.hpp>

namespace vellum::kernel {

template <class T>
T must(Result<T> result, const char* what) {
  if (!result.ok()) {
    panic(what);
  }
  return std::move(result).value();
}

}  // namespace vellum::kernel
