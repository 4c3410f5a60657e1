import Optimizers
import Testing

@Suite struct ScheduleTests {
  @Test func constantIsConstant() {
    let schedule = Schedule(.constant, baseRate: 0.3)
    #expect([0, 1, 1_000_000].allSatisfy { schedule.rate(step: $0, epoch: $0) == 0.3 })
  }

  /// Zaremba et al. 2014, small: after six epochs the rate is halved for each epoch.
  @Test func stepDecayLeavesTheFirstEpochsAlone() {
    let schedule = Schedule(.stepDecay(factor: 0.5, afterEpoch: 6), baseRate: 1)
    let rates = (0..<9).map { schedule.rate(step: 100 * $0, epoch: $0) }
    #expect(rates == [1, 1, 1, 1, 1, 1, 0.5, 0.25, 0.125])
    #expect(Schedule(.stepDecay(factor: 0.5, afterEpoch: 0), baseRate: 1).rate(step: 0, epoch: 0) == 0.5)
  }

  @Test func warmupRisesLinearlyToTheBaseRate() {
    for kind in [Schedule.Kind.constant, .cosine(totalSteps: 100, minimumRate: 0)] {
      let schedule = Schedule(kind, baseRate: 2, warmupSteps: 4)
      #expect((0..<5).map { schedule.rate(step: $0, epoch: 0) } == [0.5, 1, 1.5, 2, 2])
    }
  }

  @Test func cosineFallsFromBaseToMinimum() {
    let schedule = Schedule(.cosine(totalSteps: 110, minimumRate: 0.2), baseRate: 1, warmupSteps: 10)
    #expect(schedule.rate(step: 10, epoch: 0) == 1)
    #expect(abs(schedule.rate(step: 60, epoch: 0) - 0.6) < 1e-12)
    #expect(abs(schedule.rate(step: 110, epoch: 0) - 0.2) < 1e-12)
    #expect(abs(schedule.rate(step: 10_000, epoch: 0) - 0.2) < 1e-12)
    let rates = (10...110).map { schedule.rate(step: $0, epoch: 0) }
    #expect(zip(rates, rates.dropFirst()).allSatisfy { $0 > $1 })
  }

  @Test func cosineShorterThanItsWarmupStaysFinite() {
    let schedule = Schedule(.cosine(totalSteps: 3, minimumRate: 0), baseRate: 1, warmupSteps: 5)
    #expect((0..<10).allSatisfy { (0...1).contains(schedule.rate(step: $0, epoch: 0)) })
  }

  private func plateau(patience: Int = 1) -> Schedule {
    Schedule(.plateau(factor: 0.5, patience: patience, threshold: 0.01, minimumRate: 0.2), baseRate: 1)
  }

  /// As PyTorch's ReduceLROnPlateau: a decay comes when more than `patience` validations in a row were bad.
  @Test func plateauWaitsForItsPatience() {
    var schedule = plateau()
    var rates: [Double] = []
    for loss in [5.0, 4.0, 3.99, 3.98, 3.97, 3.9, 3.95, 3.95, 3.95, 3.95] {
      schedule.observe(validation: loss)
      rates.append(schedule.rate(step: 0, epoch: 0))
    }
    // 3.99 and 3.98 gain less than 1 % on 4.0; 3.97 is the first bad one of the next row, ended by 3.9.
    #expect(rates == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2])
  }

  @Test func plateauTakesNotANumberForBad() {
    var schedule = plateau(patience: 0)
    schedule.observe(validation: 2)
    schedule.observe(validation: .nan)
    #expect(schedule.rate(step: 0, epoch: 0) == 0.5)
    schedule.observe(validation: 1)
    #expect(schedule.best == 1)
  }

  @Test func plateauGoesOnFromItsState() {
    var schedule = plateau()
    for loss in [5.0, 6, 6, 6] { schedule.observe(validation: loss) }
    var resumed = plateau()
    #expect(resumed.restore(schedule.state) == nil)
    #expect(resumed == schedule)
    schedule.observe(validation: 6)
    resumed.observe(validation: 6)
    #expect(resumed == schedule && resumed.rate(step: 0, epoch: 0) == 0.25)
    // What is incomplete is named, and changes nothing.
    for key in ["best", "bad_validations", "factor"] {
      var untouched = plateau()
      #expect(untouched.restore(schedule.state.filter { $0.key != key }) == key)
      #expect(untouched == plateau())
    }
  }

  @Test func aDamagedStateIsNoTrap() {
    for value in [Double.nan, .infinity, 1e300, 0.5] {
      var schedule = plateau()
      #expect(schedule.restore(["best": 1, "bad_validations": value, "factor": 1]) == "bad_validations")
      #expect(schedule == plateau())
    }
  }

  @Test func onlyAPlateauHasState() {
    var schedule = Schedule(.stepDecay(factor: 0.5, afterEpoch: 1), baseRate: 1)
    schedule.observe(validation: 1)
    #expect(schedule.restore(["factor": 0.1]) == nil)
    #expect(schedule.state.isEmpty && schedule.rate(step: 0, epoch: 0) == 1)
  }
}
