extension RunConfiguration {
  /// The whole configuration in effect, defaults included, as YAML; reading it gives an equal value.
  ///
  /// Keys without a meaning here (Adam's `beta1` under SGD) and absent ones are left out.
  package var yaml: String {
    var text = settings(inSection: nil).map { "\($0.name): \($0.value.yaml)\n" }.joined()
    for section in Self.sections {
      text += "\(section):\n"
      for (name, value) in settings(inSection: section) { text += "  \(name): \(value.yaml)\n" }
    }
    return text
  }
}
