import Glibc
import Synchronization

/// A barrier for threads that can be broken: a thread that fails lets no other wait for ever.
///
/// Threads usually arrive within microseconds of each other, so a waiting one first gives up its time slice a few times,
/// which costs nothing when there are more threads than cores, and only then sleeps.
final class CollectiveBarrier: @unchecked Sendable {
  // Safe: the plain variables are only touched under the mutex; `generation` is atomic and only stored under it.
  private let parties: Int
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let generation = Atomic<Int>(0)
  private var arrived = 0
  private var isBroken = false
  private var someoneLeft = false

  private static let yieldsBeforeSleep = 200

  init(parties: Int) {
    self.parties = parties
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(changed, nil)
  }

  deinit {
    pthread_cond_destroy(changed)
    pthread_mutex_destroy(mutex)
    changed.deallocate()
    mutex.deallocate()
  }

  /// Waits until all parties have arrived. Writes before it are visible to all after it.
  ///
  /// Returns false if the barrier was broken before the last party arrived, and then to all parties: none passes where
  /// another is told that it did not. `unbreakable` waits on through a break, for phases that all parties are sure to
  /// end because all have begun them.
  func wait(unbreakable: Bool = false) -> Bool {
    pthread_mutex_lock(mutex)
    if someoneLeft { breakWhileLocked() }
    if isBroken && !unbreakable {
      pthread_mutex_unlock(mutex)
      return false
    }
    let mine = generation.load(ordering: .relaxed)
    arrived += 1
    if arrived == parties {
      arrived = 0
      generation.store(mine + 1, ordering: .releasing)
      pthread_cond_broadcast(changed)
      pthread_mutex_unlock(mutex)
      return true
    }
    pthread_mutex_unlock(mutex)

    for _ in 0..<Self.yieldsBeforeSleep {
      if generation.load(ordering: .acquiring) != mine { return true }
      sched_yield()
    }

    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while generation.load(ordering: .relaxed) == mine {
      if isBroken && !unbreakable { return false }
      pthread_cond_wait(changed, mutex)
    }
    return true  // also when broken since: a barrier that was complete before counts as passed
  }

  /// Makes all present and later waits return false, but for those that are already complete or unbreakable.
  func breakUp() {
    pthread_mutex_lock(mutex)
    breakWhileLocked()
    pthread_mutex_unlock(mutex)
  }

  /// A party that will not return: breaks the barrier if another waits for it, now or later.
  func leave() {
    pthread_mutex_lock(mutex)
    someoneLeft = true
    if arrived > 0 { breakWhileLocked() }
    pthread_mutex_unlock(mutex)
  }

  private func breakWhileLocked() {
    isBroken = true
    pthread_cond_broadcast(changed)
  }
}
