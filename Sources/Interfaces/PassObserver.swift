import Parameters

/// What a training pass announces as it goes: the place where an exchange may send early and gather late.
package protocol PassObserver: AnyObject {
  /// The listed rows of an addend are known in all of the worker's subtrees. Comes before the first ``willRead(_:)``, so
  /// that lists can travel during the forward pass.
  func didList(_ addend: Int) throws

  /// A parameter is about to be read. Returns once its new value is here and packed; immediately if asked again.
  func willRead(_ parameter: Parameter) throws

  /// An addend is final in all of the worker's subtrees; each is announced once, in order. After a parameter's last
  /// addend the pass does not read it any more.
  func didFinish(_ addend: Int) throws
}

/// The observer of passes over weights that do not change: evaluation and generation.
package final class SettledWeights: PassObserver {
  package init() {}
  package func didList(_ addend: Int) {}
  package func willRead(_ parameter: Parameter) {}
  package func didFinish(_ addend: Int) {}
}
