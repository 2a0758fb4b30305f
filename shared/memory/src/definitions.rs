//! The definitions that are kept beside what a cloud stores, as the text that the other adapters keep, too.

use saga_app::ports::{DefinitionNames, Definitions, PortError};
use saga_core::{Definition, DefinitionRef};
use saga_wire::definitions::{read, write};

use crate::cloud::Cloud;

impl<S> Cloud<S> {
    /// The text that is kept under this name and version.
    pub fn definition_text(&self, reference: &DefinitionRef) -> Option<String> {
        self.lock().definitions.get(reference).cloned()
    }

    /// Keeps any text under this name and version, as a release that knows more might have.
    pub fn put_definition_text(&self, reference: DefinitionRef, text: &str) {
        self.lock().definitions.insert(reference, text.to_owned());
    }

    /// Loses all that is kept, as if no release before had kept anything.
    pub fn forget_definitions(&self) {
        self.lock().definitions.clear();
    }
}

fn parsed(text: &str) -> Result<Definition, PortError> {
    read(text).map_err(|error| PortError::corrupt("the store of definitions", error.0))
}

impl<S: Send> Definitions for Cloud<S> {
    async fn stored_definition(&self, reference: &DefinitionRef) -> Result<Option<Definition>, PortError> {
        self.call("Definitions::stored_definition", None, |state| {
            let text = state.definitions.get(reference);
            text.map(|text| parsed(text)).transpose()
        })
        .await
    }

    async fn keep_definition(&self, definition: &Definition) -> Result<Definition, PortError> {
        self.call("Definitions::keep_definition", None, |state| {
            let kept = state.definitions.entry(definition.reference().clone());
            parsed(kept.or_insert_with(|| write(definition)))
        })
        .await
    }
}

impl<S: Send> DefinitionNames for Cloud<S> {
    async fn definition_names(&self) -> Result<Vec<DefinitionRef>, PortError> {
        self.call("DefinitionNames::definition_names", None, |state| {
            Ok(state.definitions.keys().cloned().collect())
        })
        .await
    }
}
