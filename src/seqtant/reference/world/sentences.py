"""Documents whose items are independent sentences given one hidden value: talks, books and games."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from seqtant.reference.world.documents import NEVER, Items, Kind
from seqtant.reference.world.grammar import Grammar
from seqtant.reference.world.vocabulary import Vocabulary


class SentenceKind(Kind):
    """A kind of document that draws a hidden value once and then sentence after sentence given it.

    Args:
        name: First word of every such document.
        vocabulary: Words of the world.
        grammar: Sentences and their probabilities under each hidden value.
        prior: Probability of each hidden value by name.
        end: Probability that the document ends after a sentence.
    """

    def __init__(
        self, name: str, vocabulary: Vocabulary, grammar: Grammar, prior: Mapping[str, float], end: float
    ) -> None:
        self.name, self.vocabulary, self.grammar, self.end = name, vocabulary, grammar, end
        self.latents = tuple(prior)
        self.prior = np.array(list(prior.values())) / sum(prior.values())

    def items(self) -> SentenceItems:
        """A reader at the start of the first sentence."""
        return SentenceItems(self.grammar, np.log(self.prior))

    def draw_items(
        self,
        latents: Int[np.ndarray, " documents"],
        counts: Int[np.ndarray, " documents"],
        generator: np.random.Generator,
    ) -> Int[np.ndarray, "items longest"]:
        """Draws the sentences of many documents, one after the other."""
        return self.grammar.draw(np.repeat(latents, counts), generator)

    @property
    def shortest_item(self) -> int:
        """Number of tokens of the shortest sentence."""
        return min(map(len, self.grammar.sentences))

    def eased(self) -> SentenceKind:
        """The same kind with all hidden values alike, so that rare ones are met often."""
        return SentenceKind(self.name, self.vocabulary, self.grammar, dict.fromkeys(self.latents, 1.0), self.end)

    def given(self, latents: Sequence[str]) -> SentenceKind:
        """The same kind with its hidden value known to be one of some."""
        chosen = [self.latents.index(latent) for latent in latents]
        part = Grammar(self.grammar.sentences, self.grammar.probabilities[:, chosen])
        prior = {self.latents[index]: float(self.prior[index]) for index in chosen}
        return SentenceKind(self.name, self.vocabulary, part, prior, self.end)


class SentenceItems(Items):
    """Reads sentences and keeps the exact posterior of the hidden value, in log space."""

    def __init__(self, grammar: Grammar, log_joint: Float[np.ndarray, " latents"], node: int = 0) -> None:
        self._grammar = grammar
        self._log_joint = log_joint
        self._node = node

    @property
    def log_posterior(self) -> Float[np.ndarray, " latents"]:
        """Log p(hidden value | document so far)."""
        return self._log_joint - np.logaddexp.reduce(self._log_joint)

    @property
    def between(self) -> bool:
        """Whether a sentence has just ended."""
        return self._node == 0

    def log_probs(self, size: int) -> Float[np.ndarray, " vocabulary"]:
        """Log p(next word | document so far): the mixture over the hidden value."""
        node = self._grammar.nodes[self._node]
        result = np.full(size, NEVER)
        result[node.tokens] = np.logaddexp.reduce(node.log_conditionals + self.log_posterior, axis=1)
        return result

    def advance(self, token: int) -> float:
        """Reads one word and returns its log-probability."""
        node = self._grammar.nodes[self._node]
        place = node.place.get(token)
        if place is None:
            return NEVER
        before = np.logaddexp.reduce(self._log_joint)
        self._log_joint = self._log_joint + node.log_conditionals[place]
        child = node.children[place]
        self._node = child if len(self._grammar.nodes[child].tokens) else 0
        return float(np.logaddexp.reduce(self._log_joint) - before)

    def copy(self) -> SentenceItems:
        """An independent reader in the same state."""
        return SentenceItems(self._grammar, self._log_joint, self._node)
