import Foundation
import TestSupport

/// Decides whether a command has answered a damaged file as it should.
struct MutationJudge {
  enum Verdict {
    case fine(String)
    case found(String)
  }

  let subject: MutationSubject
  let trial: MutationSubject.Case
  let directory: String

  func judge(_ outcome: ChildProcess.Outcome, intact: ChildProcess.Outcome) -> Verdict {
    if let misbehaviour = outcome.misbehaviour() { return .found(misbehaviour) }
    if outcome.status != 0 { return judgeRefusal(outcome) }
    if let wrong = textOracle(outcome) { return .found(wrong) }
    if outcome.standardOutput == intact.standardOutput, subject != .text { return .fine("harmless") }
    if subject.isSealed {
      return .found("believed, with another result than the intact file's: \(outcome.standardOutput)")
    }
    if let flaw = flaw(in: outcome) { return .found(flaw) }
    return .fine("other result")
  }

  /// Shows all of a trial that was asked for.
  func show(_ outcome: ChildProcess.Outcome) {
    let copy = NSTemporaryDirectory() + "lockstep-trial"
    try? FileManager.default.removeItem(atPath: copy)
    try? FileManager.default.copyItem(atPath: directory, toPath: copy)
    print(
      """
      \(trial.description); lockstep \(trial.arguments.joined(separator: " "))
      the directory: \(copy)
      status \(outcome.status)
      \(outcome.standardOutput)\(outcome.standardError)
      """)
  }

  private func judgeRefusal(_ outcome: ChildProcess.Outcome) -> Verdict {
    guard outcome.errorLines.count == 1 else {
      return .found("status \(outcome.status) with \(outcome.errorLines.count) messages\(outcome.excerpt)")
    }
    let message = outcome.errorLines[0]
    let statuses: [Int32] = subject.isSealed ? [65] : subject == .text ? [64, 65] : [64, 65, 73]
    // Weights or a learning rate that nobody vouches for may well diverge.
    let diverged = outcome.status == 70 && !subject.isSealed && subject != .text && message.contains("diverge")
    guard statuses.contains(outcome.status) || diverged else {
      return .found("status \(outcome.status)\(outcome.excerpt)")
    }
    if subject == .text {
      let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
      let left = names.filter { $0 != "damaged.txt" }
      guard left.isEmpty else { return .found("left \(left) behind") }
      if let expected = TextOracle(trial.bytes, tokenizer: trial.arguments.last!).tokens, expected > 100 {
        return .found("refused a text of \(expected) good tokens\(outcome.excerpt)")
      }
    }
    return .fine(diverged ? "diverged" : "refused")
  }

  /// What is wrong with a corpus made of a damaged text; nil if nothing is.
  private func textOracle(_ outcome: ChildProcess.Outcome) -> String? {
    guard subject == .text else { return nil }
    let oracle = TextOracle(trial.bytes, tokenizer: trial.arguments.last!)
    guard let expected = oracle.tokens else { return oracle.isKnown ? "accepted what is no text" : nil }
    let counted = outcome.standardError.split(separator: "\n").reduce(0) { sum, line in
      let words = line.split(separator: " ")
      guard ["train", "valid", "test"].contains(words.first) else { return sum }
      return sum + (words.dropFirst().first.flatMap { Int($0) } ?? 0)
    }
    return counted == expected ? nil : "made \(counted) tokens of a text that has \(expected)"
  }

  /// Why a successful command's output makes no sense; nil if it does.
  private func flaw(in outcome: ChildProcess.Outcome) -> String? {
    let output = outcome.standardOutput
    switch trial.arguments[0] {
    case "train":
      guard outcome.weightDigest?.count == 64 else { return "trained without a digest: \(output)" }
    case "evaluate", "inspect":
      guard !output.isEmpty else { return "printed nothing" }
      guard trial.arguments.contains("--json") else { return nil }
      guard let object = try? JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any] else {
        return "printed what is not JSON: \(output.prefix(300))"
      }
      guard trial.arguments[0] == "evaluate" else { return nil }
      guard let tokens = object["tokens"] as? Int, tokens > 0, object["nats_per_token"] is Double else {
        return "measured nothing: \(output)"
      }
    case "generate":
      guard !output.isEmpty else { return "printed nothing" }
    default: break
    }
    return nil
  }
}

/// How many tokens `prepare` must find in a text, counted in another way than the program's.
struct TextOracle {
  /// nil where the text must be refused, or where this does not know.
  let tokens: Int?
  /// Whether the tokens are known, or known to be none.
  let isKnown: Bool

  init(_ bytes: [UInt8], tokenizer: String) {
    // Compressed text may be refused by name, or taken for bytes.
    if bytes.starts(with: [0x1F, 0x8B]) {
      (tokens, isKnown) = (nil, tokenizer != "byte")
      return
    }
    if tokenizer == "byte" {
      (tokens, isKnown) = (bytes.count, true)
      return
    }
    guard let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
      (tokens, isKnown) = (nil, true)
      return
    }
    let body = Array(text.unicodeScalars).dropFirst(text.unicodeScalars.first == "\u{FEFF}" ? 1 : 0)
    if tokenizer == "char" {
      (tokens, isKnown) = (body.count, true)
      return
    }
    let words = body.split { $0.properties.isWhitespace }
    // Words of a mebibyte are refused, as a text without white space.
    guard words.allSatisfy({ $0.count < 1 << 18 }) else {
      (tokens, isKnown) = (nil, false)
      return
    }
    var ends = 0
    for (scalar, next) in zip(body, body.dropFirst().map(Optional.init) + [nil]) {
      if scalar == "\n" || scalar == "\r" && next != "\n" { ends += 1 }
    }
    // A last line of white space alone is a question of taste.
    let tail = body.reversed().prefix { $0 != "\n" && $0 != "\r" }
    let isTasteful = tail.isEmpty || tail.contains { !$0.properties.isWhitespace }
    (tokens, isKnown) = (isTasteful ? words.count + ends + (tail.isEmpty ? 0 : 1) : nil, isTasteful)
  }
}
