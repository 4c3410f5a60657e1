import Testing
import Workers

/// What a rank concludes from the heartbeats of the others. Times are seconds.
struct PeerWatchTests {
  private static let names = (0..<3).map { WorkerName(rank: $0, host: "node\($0)") }

  /// Rank 0 of three, which waits in step 7 from the first second on, after `seconds`.
  ///
  /// - Parameters:
  ///   - peers: what ranks 1 and 2 publish.
  ///   - lastHeard: when rank 1 was last heard; nil: never.
  private func watch(
    _ peers: [Activity.Snapshot], after seconds: Double, lastHeard: Double? = .infinity,
    phase: WorkerPhase = .exchanging
  ) -> PeerWatch {
    var watch = PeerWatch(rank: 0, workers: Self.names, beat: 1, now: 0)
    for second in 0...Int(seconds) {
      let now = Double(second)
      watch.note(own: .init(phase, step: 7, calls: 11), at: now)
      if let lastHeard, now <= lastHeard { watch.note(peers[0], of: 1, at: now) }
      watch.note(peers[1], of: 2, at: now)
    }
    return watch
  }

  private let waiting = Activity.Snapshot(.exchanging, step: 7, calls: 11)
  private let training = Activity.Snapshot(.training, step: 7, calls: 10)

  @Test func aSilentRankIsLate() throws {
    let watch = watch([training, waiting], after: 60, lastHeard: 2)
    #expect(watch.verdict(limit: 60, at: 59.9) == .fine)
    let late = PeerWatch.Late(worker: Self.names[1], reason: .silent(seconds: 58), snapshot: training)
    #expect(watch.verdict(limit: 60, at: 60) == .late([late]))
    #expect(
      "\(late)"
        == "rank 1 on node1: no sign of life for 58 s, last known in the forward and backward pass of step 7")
    #expect(watch.isSpeaker(at: 60))
  }

  @Test func aRankThatIsAliveAndStuckIsLate() throws {
    let watch = watch([waiting, training], after: 60)
    let late = PeerWatch.Late(worker: Self.names[2], reason: .stuck(seconds: 60), snapshot: training)
    #expect(watch.verdict(limit: 60, at: 60) == .late([late]))
    #expect(
      "\(late)" == "rank 2 on node2: its process is alive, and for 60 s in the forward and backward pass of step 7")
  }

  @Test(arguments: [WorkerPhase.starting, .validating, .writingCheckpoint])
  func phasesOfFreeLengthAreNoStalls(phase: WorkerPhase) {
    let busy = Activity.Snapshot(phase, step: 7, calls: 10)
    #expect(watch([busy, waiting], after: 600).verdict(limit: 60, at: 600) == .fine)
    // But a process that is silent is no longer busy.
    #expect(watch([busy, waiting], after: 600, lastHeard: 1).verdict(limit: 60, at: 600) != .fine)
  }

  @Test func aRankThatMovesIsNotLate() {
    var watch = watch([training, waiting], after: 60)
    watch.note(.init(.training, step: 7, calls: 12), of: 1, at: 30)
    #expect(watch.verdict(limit: 60, at: 60) == .fine)
  }

  @Test func ranksThatAllWaitLackMessages() {
    #expect(watch([waiting, waiting], after: 60).verdict(limit: 60, at: 60) == .everyoneWaits)
  }

  @Test func aRankThatWasNeverHeardIsNotJudged() {
    let unheard = PeerWatch.Late(worker: Self.names[1], reason: .unheard, snapshot: .init())
    #expect(watch([training, waiting], after: 60, lastHeard: nil).verdict(limit: 60, at: 60) == .late([unheard]))
    let checkpoint = watch([training, waiting], after: 60, lastHeard: nil, phase: .writingCheckpoint)
    #expect(checkpoint.verdict(limit: 60, at: 60) == .fine)
  }

  @Test func whoeverDoesNotWaitJudgesNobody() {
    var watch = watch([training, training], after: 600, lastHeard: 0)
    watch.note(own: .init(.training, step: 8, calls: 12), at: 600)
    #expect(watch.verdict(limit: 60, at: 900) == .fine)
  }

  @Test func timeInWhichThisProcessDidNotRunDoesNotCount() {
    var watch = watch([training, waiting], after: 30)
    watch.skip(600)
    #expect(watch.verdict(limit: 60, at: 640) == .fine)
    #expect(watch.verdict(limit: 60, at: 700) != .fine)
  }

  @Test func workersAreListedByHost() {
    let names = [(0, "a"), (1, "a"), (2, "a"), (4, "a"), (3, "b")].map { WorkerName(rank: $0, host: $1) }
    #expect(WorkerName.list(names) == "ranks 0 to 2 and 4 on a, rank 3 on b")
    #expect(WorkerName.list([1, 2].map { WorkerName(rank: $0, host: nil) }) == "workers 1 and 2")
  }
}
