import Failures

/// One row of the table of keys: the key's name, its form, and its field of ``RunConfiguration``.
package struct ConfigurationKey: Sendable {
  /// What happens if the key is not given.
  enum Fallback: Sendable {
    /// The field's initial value.
    case initial
    /// An error.
    case required
    /// Stays nil; the text says what that means.
    case absent(String)
    /// Follows from other keys; the text says how.
    case derived(String, @Sendable (inout RunConfiguration) -> Void)
  }

  /// The key applies only if the word key `selector` has one of `words`.
  struct Condition: Sendable {
    var selector: String
    var words: [String]
    /// A value without effect, which is allowed even where the key does not apply.
    var neutral: ConfigurationValue?
  }

  /// The key's section; nil for the top level.
  package let section: String?
  package let name: String
  /// A description in Markdown, without a full stop.
  package let meaning: String
  /// Whether a run may be resumed with another value.
  package private(set) var mayChangeOnResume = false
  let form: ConfigurationForm
  private(set) var fallback = Fallback.initial
  private(set) var condition: Condition?
  let load: @Sendable (RunConfiguration) -> ConfigurationValue?
  /// Expects a value that `form` accepts.
  let store: @Sendable (ConfigurationValue, inout RunConfiguration) -> Void

  /// The key with its section, as in `--set`: `model.layers`.
  package var path: String { section.map { "\($0).\(name)" } ?? name }

  /// Whether the key has an effect in `configuration`.
  func applies(to configuration: RunConfiguration) -> Bool {
    guard let condition else { return true }
    guard case .word(let word)? = RunConfiguration.keysByPath[condition.selector]?.load(configuration) else {
      preconditionFailure("\(condition.selector) is not a key that takes a word")
    }
    return condition.words.contains(word)
  }

  private init(
    _ path: String, _ form: ConfigurationForm, _ meaning: String,
    load: @escaping @Sendable (RunConfiguration) -> ConfigurationValue?,
    store: @escaping @Sendable (ConfigurationValue, inout RunConfiguration) -> Void
  ) {
    let parts = path.split(separator: ".").map(String.init)
    precondition((1...2).contains(parts.count), "a key's path is name or section.name")
    (section, name) = (parts.count == 2 ? parts[0] : nil, parts[parts.count - 1])
    (self.form, self.meaning, self.load, self.store) = (form, meaning, load, store)
  }
}

// MARK: - Rows of the table

extension ConfigurationKey {
  typealias Field<Value> = WritableKeyPath<RunConfiguration, Value> & Sendable

  static func integer(_ path: String, _ field: Field<Int>, _ range: ClosedRange<Int>, _ meaning: String) -> Self {
    Self(path, .integer(range), meaning, load: { .integer($0[keyPath: field]) }) { value, configuration in
      if case .integer(let value) = value { configuration[keyPath: field] = value }
    }
  }

  static func integer(
    _ path: String, _ field: Field<Int?>, _ range: ClosedRange<Int>, absent: String, _ meaning: String
  ) -> Self {
    var key = Self(
      path, .integer(range), meaning, load: { $0[keyPath: field].map(ConfigurationValue.integer) },
      store: { value, configuration in
        if case .integer(let value) = value { configuration[keyPath: field] = value }
      })
    key.fallback = .absent(absent)
    return key
  }

  static func bytes(_ path: String, _ field: Field<Int?>, absent: String, _ meaning: String) -> Self {
    var key = Self(
      path, .bytes, meaning, load: { $0[keyPath: field].map(ConfigurationValue.integer) },
      store: { value, configuration in
        if case .integer(let value) = value { configuration[keyPath: field] = value }
      })
    key.fallback = .absent(absent)
    return key
  }

  static func number(_ path: String, _ field: Field<Double>, _ range: NumberRange, _ meaning: String) -> Self {
    Self(path, .number(range), meaning, load: { .number($0[keyPath: field]) }) { value, configuration in
      if case .number(let value) = value { configuration[keyPath: field] = value }
    }
  }

  static func flag(_ path: String, _ field: Field<Bool>, _ meaning: String) -> Self {
    Self(path, .flag, meaning, load: { .flag($0[keyPath: field]) }) { value, configuration in
      if case .flag(let value) = value { configuration[keyPath: field] = value }
    }
  }

  static func word<Word: RawRepresentable<String> & CaseIterable & SendableMetatype>(
    _ path: String, _ field: Field<Word>, _ meaning: String
  ) -> Self {
    Self(path, .word(Word.allCases.map(\.rawValue)), meaning, load: { .word($0[keyPath: field].rawValue) }) {
      value, configuration in
      if case .word(let value) = value, let word = Word(rawValue: value) { configuration[keyPath: field] = word }
    }
  }

  static func path(_ path: String, _ field: Field<String>, _ meaning: String) -> Self {
    Self(path, .path, meaning, load: { .path($0[keyPath: field]) }) { value, configuration in
      if case .path(let value) = value { configuration[keyPath: field] = value }
    }
  }

  static func path(_ path: String, _ field: Field<String?>, _ meaning: String) -> Self {
    var key = Self(path, .path, meaning, load: { $0[keyPath: field].map(ConfigurationValue.path) }) {
      value, configuration in
      if case .path(let value) = value { configuration[keyPath: field] = value }
    }
    key.fallback = .absent("none")
    return key
  }

  func required() -> Self {
    var key = self
    key.fallback = .required
    return key
  }

  func derived(_ description: String, _ derive: @escaping @Sendable (inout RunConfiguration) -> Void) -> Self {
    var key = self
    key.fallback = .derived(description, derive)
    return key
  }

  func only(where selector: String, is words: [String], orEquals neutral: ConfigurationValue? = nil) -> Self {
    var key = self
    key.condition = Condition(selector: selector, words: words, neutral: neutral)
    return key
  }

  func freeOnResume() -> Self {
    var key = self
    key.mayChangeOnResume = true
    return key
  }
}
