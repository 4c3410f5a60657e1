import Foundation
import Synchronization

/// Temporary directories that all trials of a process share, and that go when it ends.
enum TrialPlace {
  private static let made = Mutex<[String]>([])

  static func make(_ name: String) throws -> String {
    let path = NSTemporaryDirectory() + "lockstep-\(name)-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    let isFirst = made.withLock { made in
      made.append(path)
      return made.count == 1
    }
    // What a single trial leaves is what it is made for.
    if isFirst, TestMode.single == nil { atexit { TrialPlace.removeAll() } }
    return path
  }

  private static func removeAll() {
    for path in made.withLock({ $0 }) { try? FileManager.default.removeItem(atPath: path) }
  }
}
