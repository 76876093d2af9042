#include <vellum/unix/poller.hpp>

namespace vellum::unix {

Poller::~Poller() {
  while (places_ != nullptr) {
    Place* const place = places_;
    places_ = place->next;
    memory_.destroy(place);
  }
}

void Poller::add(WaitQueue& queue) {
  if (!adding_) {
    return;
  }
  const Result<Place*> place = memory_.create<Place>(sleep_, queue);
  if (!place.ok()) {
    failed_ = true;
    return;
  }
  place.value()->next = places_;
  places_ = place.value();
}

}  // namespace vellum::unix
