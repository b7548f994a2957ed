// List: an intrusive doubly linked list; what is in it need not be allocated, and may leave it
// at any time, whichever list that is.
#pragma once

namespace bridge {

// clang-analyzer cannot follow a ring of pointers through unlink(): it believes that members which
// have left are still linked, or lead nowhere. Hence the exceptions below; the tests of all
// lists run under AddressSanitizer.

// One membership: a type derives from ListHook<Tag> once for each kind of list it may be in.
// A hook leaves its list when it is destroyed.
template <class Tag>
class ListHook {
 public:
  ListHook() = default;
  ListHook(const ListHook&) = delete;
  ListHook& operator=(const ListHook&) = delete;

  [[nodiscard]] bool linked() const { return next_ != this; }

  void unlink() {
    previous_->next_ = next_;
    next_->previous_ = previous_;  // NOLINT(clang-analyzer-core.NullDereference)
    next_ = previous_ = this;
  }

  void link_before(ListHook& position) {
    unlink();
    previous_ = position.previous_;
    next_ = &position;
    previous_->next_ = this;
    position.previous_ = this;
  }

  // NOLINTNEXTLINE(clang-analyzer-cplusplus.NewDelete)
  [[nodiscard]] ListHook* next() const { return next_; }

 protected:
  ~ListHook() { unlink(); }

 private:
  ListHook* previous_ = this;
  ListHook* next_ = this;
};

// A list that owns nothing. Destroying it leaves its members unlinked.
template <class T, class Tag>
class List {
 public:
  List() = default;
  List(const List&) = delete;
  List& operator=(const List&) = delete;
  ~List() {
    while (pop_front() != nullptr) continue;
  }

  [[nodiscard]] bool empty() const { return !head_.linked(); }
  void push_back(T& item) { hook(item).link_before(head_); }

  [[nodiscard]] T* front() { return empty() ? nullptr : item(head_.next()); }

  T* pop_front() {
    T* const first = front();
    if (first != nullptr) hook(*first).unlink();
    return first;
  }

  // The member after `current`, nullptr at the end.
  [[nodiscard]] T* after(T& current) {
    ListHook<Tag>* const next = hook(current).next();
    return next == &head_ ? nullptr : item(next);
  }

  // Moves all members of `other` to the end of this list.
  void take_all(List& other) {
    while (T* const first = other.pop_front()) push_back(*first);
  }

 private:
  struct Head : ListHook<Tag> {};

  static ListHook<Tag>& hook(T& item) { return item; }
  static T* item(ListHook<Tag>* hook) { return static_cast<T*>(hook); }

  Head head_;
};

}  // namespace bridge
