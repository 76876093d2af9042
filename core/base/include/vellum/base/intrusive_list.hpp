// A doubly linked list whose links live in its members: no allocation, removal in constant time from anywhere.
#pragma once

#include <cstddef>

#include <vellum/base/panic.hpp>

namespace vellum {

// Links of one membership. A type that stands in several lists at once has several.
struct ListLink {
  ListLink* previous = nullptr;
  ListLink* next = nullptr;
  [[nodiscard]] bool is_linked() const { return next != nullptr; }
};

// List<T, &T::link>. Not synchronised. A member must not be destroyed while it is linked, nor a list while it is full.
template <class T, ListLink T::* kLink>
class IntrusiveList {
 public:
  IntrusiveList() { head_.next = head_.previous = &head_; }
  ~IntrusiveList() { VELLUM_ASSERT(empty()); }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;

  [[nodiscard]] bool empty() const { return head_.next == &head_; }
  [[nodiscard]] T* front() { return empty() ? nullptr : owner(head_.next); }
  // The member after `element`, or nullptr at the end.
  [[nodiscard]] T* next(T& element) {
    ListLink* link = (element.*kLink).next;
    return link == &head_ ? nullptr : owner(link);
  }
  // The member before `element`, or nullptr at the beginning.
  [[nodiscard]] T* previous(T& element) {
    ListLink* link = (element.*kLink).previous;
    return link == &head_ ? nullptr : owner(link);
  }

  // Inserts behind `position`, a member.
  void insert_after(T& position, T& element) { insert(&(position.*kLink), element); }
  void push_front(T& element) { insert(&head_, element); }
  void push_back(T& element) { insert(head_.previous, element); }
  void remove(T& element) {
    ListLink& link = element.*kLink;
    VELLUM_ASSERT(link.is_linked());
    link.previous->next = link.next;
    link.next->previous = link.previous;
    link = {};
  }
  T* pop_front() {
    T* first = front();
    if (first != nullptr) {
      remove(*first);
    }
    return first;
  }
  // Calls visit(T&) for each member; visit may remove the member that it is given.
  template <class Visitor>
  void for_each(Visitor visit) {
    for (ListLink* link = head_.next; link != &head_;) {
      ListLink* following = link->next;
      visit(*owner(link));
      link = following;
    }
  }

 private:
  static void insert(ListLink* after, T& element) {
    ListLink& link = element.*kLink;
    VELLUM_ASSERT(!link.is_linked());
    link.previous = after;
    link.next = after->next;
    after->next->previous = &link;
    after->next = &link;
  }
  static T* owner(ListLink* link) {
    alignas(T) static constexpr std::byte kProbe[sizeof(T)] = {};
    const auto* probe = reinterpret_cast<const T*>(kProbe);
    const auto offset = reinterpret_cast<const std::byte*>(&(probe->*kLink)) - kProbe;
    return reinterpret_cast<T*>(reinterpret_cast<std::byte*>(link) - offset);
  }

  ListLink head_;
};

}  // namespace vellum
