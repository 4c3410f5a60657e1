/// Labels that mark entities by their first token and those that follow: `B-TYPE`, `I-TYPE` and `O` (Ramshaw & Marcus 1995).
package struct EntityLabels: Sendable, Equatable {
  private enum Tag: Sendable, Equatable {
    case outside
    case begin(type: String)
    case inside(type: String)

    var type: String? {
      switch self {
      case .outside: nil
      case .begin(let type), .inside(let type): type
      }
    }
  }

  /// By label.
  private let tags: [Tag]

  /// Nil unless all labels have this form and one of them begins an entity.
  package init?(_ labels: [String]) {
    let tags = labels.map { label -> Tag? in
      switch label.prefix(2) {
      case "O" where label.utf8.count == 1: .outside
      case "B-": .begin(type: String(label.dropFirst(2)))
      case "I-": .inside(type: String(label.dropFirst(2)))
      default: nil
      }
    }
    guard tags.allSatisfy({ $0 != nil }), tags.contains(where: { $0 != .outside }) else { return nil }
    self.tags = tags.compactMap { $0 }
  }

  /// Whether a label may follow another, or nil, in a sentence: `I` continues an entity of its type only.
  package func isAllowed(_ label: Int, after before: Int?) -> Bool {
    guard case .inside(let type) = tags[label] else { return true }
    return before.map { tags[$0].type == type } ?? false
  }

  /// An entity of a sentence.
  package struct Entity: Sendable, Hashable {
    package let tokens: Range<Int>
    package let type: String
  }

  /// The entities that the labels of a sentence mark, as the script conlleval of the CoNLL tasks counts them: `I` after
  /// another type, or after `O`, begins an entity too.
  package func entities(_ labels: some Sequence<Int32>) -> [Entity] {
    var found: [Entity] = []
    var current: (start: Int, type: String)?
    var place = 0
    func end() { if let (start, type) = current { found.append(Entity(tokens: start..<place, type: type)) } }
    for label in labels {
      let tag = tags[Int(label)]
      if case .inside(let type) = tag, type == current?.type {
      } else {
        end()
        current = tag.type.map { (place, $0) }
      }
      place += 1
    }
    end()
    return found
  }
}
