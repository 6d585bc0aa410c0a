/** What a job that is over has made: the model in words, how good it is, and how to use it. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { JobDetail, JobScores, Spec } from "../live/api";
import { percent } from "../text/amounts";
import { answersText, featuresOf, programText, snippetsOf, titled } from "../text/model";
import { isOver } from "../text/standing";
import { Fold } from "../ui/field";
import { Copy, Hex } from "../ui/parts";

const FIRST = 12;

/** A metric's value as people read it. */
export const scoreText = (value: number, share: boolean) => (share ? percent(value) : value.toPrecision(3));

/** scores: null where this node cannot know them. children: what this node can do with the model. */
type Props = { detail: JobDetail; scores: JobScores | undefined; children?: ComponentChildren };

export function ModelCard({ detail, scores, children }: Props) {
  const { summary, spec, settled } = detail;
  if (!spec || !isOver(summary.state) || settled === 0) return null;
  const last = scores?.rounds.at(-1);
  const first = scores?.rounds[0];
  return (
    <section class="card" aria-labelledby="model-card">
      <h2 id="model-card">Model</h2>
      <dl class="facts">
        <Fact name="What it is">{programText(spec)}</Fact>
        <Fact name="Task">{spec.task.kind}</Fact>
        <Fact name="Answers">{answersText(spec.data)}</Fact>
        {scores && last && first && (
          <Fact name={titled(scores.metric)}>
            {scoreText(last.value ?? last.loss, scores.share)} after round {last.round}
            <span class="muted">, {scoreText(first.value ?? first.loss, scores.share)} before</span>
          </Fact>
        )}
        <Fact name="Began from">
          <BaseText spec={spec} />
        </Fact>
        <Fact name="Trained">
          {settled} {settled === 1 ? "round" : "rounds"}, {summary.seats_taken}{" "}
          {summary.seats_taken === 1 ? "trainer" : "trainers"}
        </Fact>
      </dl>
      <Fold
        title={`What it takes: ${featuresOf(spec.data).length === 1 ? "one feature" : `${featuresOf(spec.data).length} features`}`}
      >
        <dl class="facts">
          {featuresOf(spec.data)
            .slice(0, FIRST)
            .map(([name, text]) => (
              <Fact key={name} name={name}>
                {text}
              </Fact>
            ))}
        </dl>
        {featuresOf(spec.data).length > FIRST && <p class="hint">and more, which the description has</p>}
      </Fold>
      {children}
      <h3>How to use it</h3>
      <Snippets detail={detail} />
    </section>
  );
}

function BaseText({ spec }: { spec: Spec }) {
  return (
    <>
      <Hex value={spec.base_cid} what="content id of the base model" />
      <span class="muted">, seed {spec.model.seed ?? 0}</span>
    </>
  );
}

function Snippets({ detail }: { detail: JobDetail }) {
  const all = snippetsOf(detail);
  const [chosen, setChosen] = useState(0);
  const shown = all[chosen];
  if (!shown) return null;
  return (
    <div class="snippets">
      <fieldset class="choices">
        <legend class="visually-hidden">By what</legend>
        {all.map(({ title }, at) => (
          <button
            key={title}
            type="button"
            class="quiet small"
            aria-pressed={at === chosen}
            onClick={() => setChosen(at)}
          >
            {title}
          </button>
        ))}
      </fieldset>
      <pre class="code">{shown.text}</pre>
      <p class="hint">It takes the job key: of the owner, an aggregator or a trainer of the job.</p>
      <Copy value={shown.text} what="this" />
    </div>
  );
}

function Fact({ name, children }: { name: ComponentChildren; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
