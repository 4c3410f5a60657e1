import Failures

/// A key or section that does not exist, with a suggestion for what was meant.
struct UnknownKey {
  var name: String
  /// nil for the top level.
  var section: String?

  func failure(at place: String) -> Failure {
    guard let section else {
      return Failure(.usage, "unknown section '\(name)'", at: place, remedy: sectionRemedy)
    }
    return Failure(.usage, "unknown key '\(name)' in section '\(section)'", at: place, remedy: keyRemedy(section))
  }

  private var sectionRemedy: String {
    let homes = homes()
    if !homes.isEmpty { return "this key belongs in section \(homes.joined(separator: " or "))" }
    let (nearest, distance) = nearest(to: name, among: RunConfiguration.sections)
    return distance <= tolerance
      ? "did you mean '\(nearest)'?" : "the sections are \(RunConfiguration.sections.joined(separator: ", "))"
  }

  private func keyRemedy(_ section: String) -> String {
    let homes = homes()
    if !homes.isEmpty { return "this key belongs in section \(homes.joined(separator: " or "))" }
    let siblings = RunConfiguration.keys.filter { $0.section == section }.map(\.name)
    let (sibling, siblingDistance) = nearest(to: name, among: siblings)
    if siblingDistance <= tolerance { return "did you mean '\(sibling)'?" }
    let (other, otherDistance) = nearest(to: name, among: RunConfiguration.keys.map(\.name))
    if otherDistance <= tolerance, let key = RunConfiguration.keys.first(where: { $0.name == other }) {
      return "did you mean '\(key.path)'?"
    }
    return "the nearest known key is '\(sibling)'; 'lockstep config' lists all"
  }

  /// The sections that have a key of this name, quoted.
  private func homes() -> [String] {
    RunConfiguration.keys.filter { $0.name == name }.compactMap { $0.section.map { "'\($0)'" } }
  }

  /// The largest edit distance at which a name is suggested.
  private var tolerance: Int { max(2, name.count / 3) }
}

/// The first candidate with the smallest edit distance; camelCase and dashes count as snake_case.
private func nearest(to name: String, among candidates: [String]) -> (String, Int) {
  let name = snakeCase(name)
  let distances = candidates.map { ($0, editDistance(name, $0)) }
  guard let best = distances.min(by: { $0.1 < $1.1 }) else { preconditionFailure("there are no candidates") }
  return best
}

private func snakeCase(_ name: String) -> String {
  String(
    name.flatMap { character -> String in
      character == "-" ? "_" : character.isUppercase ? "_" + character.lowercased() : String(character)
    })
}

/// The number of insertions, deletions, substitutions and swaps of neighbours that turn one word into the other
/// (optimal string alignment; Damerau 1964).
func editDistance(_ first: String, _ second: String) -> Int {
  let first = Array(first)
  let second = Array(second)
  var beforePrevious: [Int] = []
  var previous = Array(0...second.count)
  for i in first.indices {
    var current = [i + 1]
    for j in second.indices {
      var least = min(previous[j + 1], current[j]) + 1
      least = min(least, previous[j] + (first[i] == second[j] ? 0 : 1))
      if i > 0, j > 0, first[i] == second[j - 1], first[i - 1] == second[j] {
        least = min(least, beforePrevious[j - 1] + 1)
      }
      current.append(least)
    }
    (beforePrevious, previous) = (previous, current)
  }
  return previous[second.count]
}
