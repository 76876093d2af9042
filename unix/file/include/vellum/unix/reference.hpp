// Counted objects and owners of one reference each.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include <vellum/base/panic.hpp>

namespace vellum::unix {

// Born with one reference, which its creator owns.
class Counted {
 public:
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

  void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
  // With the last reference the object ends, which may sleep: so not with a spinlock held.
  void release() {
    if (drop()) {
      destroy();
    }
  }
  // Some past number of references, exact where nobody retains or releases.
  [[nodiscard]] bool is_last_reference() const { return reference_count() == 1; }
  [[nodiscard]] std::uint32_t reference_count() const { return references_.load(std::memory_order_acquire); }

 protected:
  Counted() = default;
  ~Counted() { VELLUM_ASSERT(references_.load(std::memory_order_relaxed) == 0); }
  // Gives up one reference; whether it was the last, and the caller has to destroy().
  [[nodiscard]] bool drop() {
    const std::uint32_t before = references_.fetch_sub(1, std::memory_order_acq_rel);
    VELLUM_ASSERT(before != 0);
    return before == 1;
  }
  // Gives the object back to where it came from.
  virtual void destroy() = 0;

 private:
  std::atomic<std::uint32_t> references_{1};
};

// Owns one reference to a T (anything with retain() and release()), or nothing.
template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}  // NOLINT(google-explicit-constructor)
  Ref(const Ref& other) : object_(other.object_) { retain(); }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  template <class Derived>
    requires std::is_convertible_v<Derived*, T*>
  Ref(Ref<Derived> other) : object_(other.detach()) {}  // NOLINT(google-explicit-constructor)
  ~Ref() { reset(); }
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }

  // Takes over a reference that the caller owns.
  [[nodiscard]] static Ref adopt(T* object) {
    Ref ref;
    ref.object_ = object;
    return ref;
  }
  // One reference more.
  [[nodiscard]] static Ref share(T& object) {
    object.retain();
    return adopt(&object);
  }

  [[nodiscard]] T* get() const { return object_; }
  T& operator*() const {
    VELLUM_ASSERT(object_ != nullptr);
    return *object_;
  }
  T* operator->() const {
    VELLUM_ASSERT(object_ != nullptr);
    return object_;
  }
  explicit operator bool() const { return object_ != nullptr; }
  bool operator==(const Ref& other) const = default;

  // The caller owns the reference from here on.
  [[nodiscard]] T* detach() { return std::exchange(object_, nullptr); }
  void reset() {
    if (T* const object = detach(); object != nullptr) {
      object->release();
    }
  }

 private:
  void retain() {
    if (object_ != nullptr) {
      object_->retain();
    }
  }

  T* object_ = nullptr;
};

}  // namespace vellum::unix
