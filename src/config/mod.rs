/// Placeholder
#[derive(Default, Clone, Debug)]
pub struct Config {}
