/**
 * Realistic conversations, generated from a seed: prose in six languages, code, JSON, tool logs, images. The same seed
 * generates the same conversations, whatever else changes in this repository.
 */
import type { Message } from "../../src/core/messages.ts";

/** Numbers from 0 up to 1, the same for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed * 2654435761 >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 0x1_0000_0000;
  };
}

type Random = () => number;

function pick<Item>(items: readonly Item[], random: Random): Item {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error("Cannot pick: nothing to pick from");
  return item;
}

function whole(below: number, random: Random): number {
  return Math.floor(random() * below);
}

function hex(length: number, random: Random): string {
  return Array.from({ length }, () => "0123456789abcdef"[whole(16, random)]).join("");
}

/** `{a}` stands for one of `words.a`, `{#}` for a number. */
interface Language {
  readonly sentences: readonly string[];
  readonly words: Readonly<Record<string, readonly string[]>>;
  /** Separator between sentences. */
  readonly gap: string;
}

const ENGLISH: Language = {
  gap: " ",
  sentences: [
    "We took the early train to {p} because the {t} had been closed since Monday.",
    "My sister says that the {t} is worth {#} euros, although nobody would ever pay that much.",
    "Could you explain why {n} left the meeting before the {t} had even been mentioned?",
    "It rained for {#} days, and by the end the whole garden looked like a shallow lake.",
    "In {p}, bakers open at five and close whenever the last loaf of rye bread has been sold.",
    "The report is thorough, but its third chapter contradicts what {n} wrote about the {t}.",
    "Nothing would please me more than a quiet evening with a book and a pot of strong tea.",
    "If the pump stops again, unplug it, wait for {#} seconds and clean the filter carefully.",
    "{n} has promised to bring the {t}, so please don't worry about buying another one.",
    "Historians disagree about whether the bridge near {p} was built before or after the flood.",
    "She whistled while repairing the {t}, which annoyed the neighbours more than the hammering.",
    "A good translation keeps the rhythm of the sentence, not merely the meaning of each word.",
  ],
  words: {
    n: ["the mayor", "our neighbour", "an old friend", "the doctor", "everybody", "the caretaker"],
    p: ["Bristol", "Galway", "a village near Oslo", "Toronto", "the north of Wales", "Auckland"],
    t: ["washing machine", "budget", "harbour", "sewing kit", "public library", "violin case"],
  },
};
const GERMAN: Language = {
  gap: " ",
  sentences: [
    "Wir sind mit dem ersten Zug nach {p} gefahren, weil {t} seit Montag geschlossen war.",
    "Meine Schwester behauptet, dass man für {#} Euro schon etwas Vernünftiges bekommen müsste.",
    "Könntest du mir erklären, weshalb {n} die Besprechung vorzeitig verlassen hat?",
    "Es regnete {#} Tage lang, und am Ende stand der Garten vollständig unter Wasser.",
    "Die Krankenversicherung übernimmt die Kosten nur, wenn der Antrag rechtzeitig gestellt wurde.",
    "Der Bericht ist gründlich, widerspricht aber dem, was {n} über {t} geschrieben hatte.",
    "Nichts wäre mir lieber als ein ruhiger Abend mit einem Buch und einer Kanne Tee.",
    "Bleibt die Pumpe wieder stehen, ziehen Sie den Stecker und reinigen Sie vorsichtig den Filter.",
    "{n} hat versprochen, alles mitzubringen; du brauchst dich also nicht darum zu kümmern.",
    "Ob die Brücke bei {p} vor oder nach dem Hochwasser gebaut wurde, ist bis heute umstritten.",
    "Die Geschwindigkeitsbegrenzung gilt zwischen zweiundzwanzig und sechs Uhr.",
    "Eine gute Übersetzung bewahrt den Rhythmus des Satzes, nicht bloß die Bedeutung der Wörter.",
  ],
  words: {
    n: [
      "die Nachbarin",
      "der Bürgermeister",
      "mein Großvater",
      "die Ärztin",
      "jemand",
      "mein Onkel",
    ],
    p: ["Tübingen", "Görlitz", "Graz", "Sankt Gallen", "Husum", "Würzburg"],
    t: ["die Bibliothek", "das Rathaus", "der Hafen", "die Waschküche", "das Museum"],
  },
};
const SPANISH: Language = {
  gap: " ",
  sentences: [
    "Tomamos el primer tren a {p} porque {t} llevaba cerrado desde el lunes.",
    "Mi hermana dice que vale {#} euros, aunque nadie pagaría jamás semejante cantidad.",
    "¿Podrías explicarme por qué {n} se marchó antes de que empezara la reunión?",
    "Llovió durante {#} días y al final el jardín entero parecía una laguna.",
    "En {p} las panaderías abren a las cinco y cierran cuando se acaba el pan.",
    "El informe es minucioso, pero contradice lo que {n} escribió sobre {t}.",
    "Nada me gustaría más que una tarde tranquila con un libro y una taza de té.",
    "Si la bomba vuelve a pararse, desenchúfela, espere {#} segundos y limpie el filtro.",
    "{n} prometió traerlo todo, así que no te preocupes por comprar nada más.",
    "Los historiadores no se ponen de acuerdo sobre la fecha en que se construyó el puente.",
    "Silbaba mientras arreglaba el tejado, lo que molestaba más a los vecinos que los martillazos.",
    "Una buena traducción conserva el ritmo de la frase y no sólo el significado de las palabras.",
  ],
  words: {
    n: ["la vecina", "el médico", "la señora del quiosco", "el alcalde", "alguien", "mi tío"],
    p: ["Logroño", "Cádiz", "Córdoba", "Medellín", "un pueblo de Asturias", "Mérida"],
    t: ["el ayuntamiento", "la biblioteca", "el muelle", "el museo", "la estación"],
  },
};
const RUSSIAN: Language = {
  gap: " ",
  sentences: [
    "Мы поехали первым поездом в {p}, потому что {t} с понедельника не работает.",
    "Сестра говорит, что это стоит {#} рублей, хотя никто столько не заплатит.",
    "Не могли бы вы объяснить, почему {n} так рано покинул собрание?",
    "Дождь шёл {#} дней, и под конец весь сад превратился в мелкое озеро.",
    "Пекарни здесь открываются в пять утра и закрываются, когда заканчивается ржаной хлеб.",
    "Отчёт подробный, но третья глава противоречит тому, что писал {n}.",
    "Больше всего мне хотелось бы провести тихий вечер с книгой и крепким чаем.",
    "Если насос снова остановится, отключите его от сети и осторожно промойте фильтр.",
    "{n} обещал всё принести, так что не беспокойтесь о покупках.",
    "Историки до сих пор спорят, когда именно был построен мост возле города {p}.",
    "Насвистывая, он чинил крышу, и это раздражало соседей сильнее, чем стук молотка.",
    "Хороший перевод сохраняет ритм предложения, а не только значение отдельных слов.",
  ],
  words: {
    n: ["сосед", "наш врач", "председатель", "дедушка", "дядя из деревни"],
    p: ["Вологда", "Нижний Тагил", "Ярославль", "Петрозаводск", "Хабаровск"],
    t: ["библиотека", "пристань", "прачечная", "краеведческий музей", "почта"],
  },
};
const CHINESE: Language = {
  gap: "",
  sentences: [
    "因为{t}从星期一起一直关着，我们只好坐第一班火车去{p}。",
    "我姐姐说这东西值{#}块钱，不过谁也不会真的花那么多。",
    "你能不能解释一下，为什么{n}在会议开始之前就离开了？",
    "雨一连下了{#}天，最后整个花园看上去像一片浅浅的湖。",
    "在{p}，面包店清晨五点开门，卖完最后一个就打烊。",
    "这份报告写得很仔细，可是第三章和{n}以前的说法互相矛盾。",
    "对我来说，没有什么比读着书、喝着浓茶度过一个安静的夜晚更愉快了。",
    "如果水泵又停了，请先拔掉插头，等{#}秒钟，再小心地清洗过滤网。",
    "{n}答应把所有东西都带来，所以你不用再去买了。",
    "关于这座桥究竟建于洪水之前还是之后，历史学家至今意见不一。",
    "好的翻译保留句子的节奏，而不仅仅是每个词的意思。",
  ],
  words: {
    n: ["她的同学", "那位医生", "市长", "老校长", "隔壁的邻居"],
    p: ["苏州", "呼和浩特", "云南的一个小镇", "青岛", "台北"],
    t: ["图书馆", "码头", "洗衣房", "博物馆", "邮局"],
  },
};
const JAPANESE: Language = {
  gap: "",
  sentences: [
    "月曜日から{t}が閉まっているので、始発の電車で{p}へ向かいました。",
    "姉はそれが{#}円の価値があると言いますが、そんなに払う人はいないでしょう。",
    "なぜ{n}が会議の途中で席を立ったのか、説明していただけませんか。",
    "雨は{#}日間降り続き、しまいには庭全体が浅い湖のようになってしまった。",
    "{p}のパン屋は朝五時に開き、最後の一斤が売れると店を閉めます。",
    "報告書は丁寧ですが、第三章の内容は{n}が以前書いたことと矛盾しています。",
    "本を読みながら濃いお茶を飲む静かな夜ほど、うれしいものはありません。",
    "ポンプがまた止まったら、コンセントを抜いて{#}秒待ち、フィルターを掃除してください。",
    "{n}が全部持ってくると約束してくれたので、買い物の心配はいりません。",
    "その橋が洪水の前に造られたのか後なのかについて、歴史家の意見は分かれている。",
    "よい翻訳は、単語の意味だけでなく文のリズムも伝えるものだ。",
  ],
  words: {
    n: ["先輩", "お医者さん", "町長", "隣のおばあさん", "マネージャー"],
    p: ["金沢", "北海道の小さな町", "鹿児島", "ブリュッセル", "京都"],
    t: ["図書館", "コインランドリー", "港の市場", "郵便局", "美術館"],
  },
};

function prose({ sentences, words, gap }: Language): (length: number, random: Random) => string {
  return (length, random) => {
    let text = "";
    while (text.length < length) {
      const filled = pick(sentences, random).replace(
        /\{(.)\}/g,
        (_, name: string) =>
          name === "#" ? String(2 + whole(900, random)) : pick(words[name] ?? [""], random),
      );
      text += text === "" ? filled : random() < 0.15 ? `\n\n${filled}` : gap + filled;
    }
    return text;
  };
}

const NOUNS = ["order", "invoice", "session", "userProfile", "cacheEntry", "retryPolicy", "token"];
const VERBS = ["load", "parse", "validate", "merge", "schedule", "encode", "findNearest"];
const CODE: readonly ((noun: string, verb: string, random: Random) => string)[] = [
  (noun, verb, random) =>
    `export async function ${verb}${noun[0]?.toUpperCase()}${noun.slice(1)}(id: string, limit = ${
      whole(99, random)
    }): Promise<${noun[0]?.toUpperCase()}${noun.slice(1)}[]> {
  const response = await fetch(\`/api/${noun}s/\${id}?limit=\${limit}\`, { signal: AbortSignal.timeout(${
      whole(9, random)
    }_000) });
  if (!response.ok) {
    throw new Error(\`Cannot ${verb} ${noun}: \${response.status}\`);
  }
  const items: unknown = await response.json();
  return Array.isArray(items) ? items.filter((item) => item !== null).map(toItem) : [];
}
`,
  (noun, verb, random) =>
    `class ${noun[0]?.toUpperCase()}${noun.slice(1)}Store:
    """Keeps every ${noun} in memory and writes them out in batches."""

    def __init__(self, path: Path, batch_size: int = ${16 + whole(500, random)}) -> None:
        self._path = path
        self._items: dict[str, ${noun[0]?.toUpperCase()}${noun.slice(1)}] = {}
        self._dirty = False

    def ${verb}(self, key: str, *, default=None):
        try:
            return self._items[key]
        except KeyError:
            logger.warning("no ${noun} for %r, using default", key)
            return default
`,
  (noun, _verb, random) =>
    `SELECT ${noun[0]}.id, ${noun[0]}.created_at, COUNT(*) AS total
FROM ${noun}s AS ${noun[0]}
LEFT JOIN line_items AS l ON l.${noun}_id = ${noun[0]}.id
WHERE ${noun[0]}.status IN ('open', 'paid') AND ${noun[0]}.amount > ${whole(1000, random)}.50
GROUP BY ${noun[0]}.id
HAVING COUNT(*) >= ${whole(9, random)}
ORDER BY total DESC;
`,
  (noun, verb, random) =>
    `#include <stdio.h>

static int ${verb}_${noun}(struct ${noun} *self, size_t length, const uint8_t *bytes)
{
\tif (self == NULL || length > ${whole(4096, random)}u)
\t\treturn -EINVAL;
\tfor (size_t i = 0; i < length; i++) {
\t\tself->checksum = (self->checksum << 1) ^ bytes[i] ^ 0x${hex(8, random)};
\t}
\treturn self->checksum == 0 ? 0 : -1;
}
`,
];

function code(length: number, random: Random): string {
  let text = "";
  while (text.length < length) {
    text += (text === "" ? "" : "\n") +
      pick(CODE, random)(pick(NOUNS, random), pick(VERBS, random), random);
  }
  return `\`\`\`\n${text}\`\`\``;
}

function json(length: number, random: Random): string {
  const items: unknown[] = [];
  let size = 0;
  while (size < length) {
    const item = {
      id: whole(1_000_000, random),
      uuid: `${hex(8, random)}-${hex(4, random)}-4${hex(3, random)}-${hex(12, random)}`,
      kind: pick(NOUNS, random),
      active: random() < 0.5,
      score: Math.round(random() * 1e6) / 1e4,
      tags: [pick(VERBS, random), pick(NOUNS, random)],
      location: random() < 0.3 ? null : { lat: random() * 90, lng: random() * 180 },
      note: pick(ENGLISH.sentences, random).replace(/\{.\}/g, "…"),
    };
    items.push(item);
    size += JSON.stringify(item).length;
  }
  return random() < 0.5 ? JSON.stringify(items) : JSON.stringify(items, null, 2);
}

const LOG_LINES: readonly ((time: string, random: Random) => string)[] = [
  (time, random) =>
    `${time} INFO  [worker-${whole(9, random)}] GET /v1/${pick(NOUNS, random)}s/${
      hex(12, random)
    } ${pick(["200", "404", "503"], random)} ${whole(900, random)}ms`,
  (time, random) =>
    `${time} ERROR could not ${pick(VERBS, random)}: ECONNRESET 10.0.${whole(255, random)}.${
      whole(255, random)
    }:${whole(65535, random)}`,
  (_time, random) =>
    `    at ${pick(VERBS, random)} (/home/app/src/${pick(NOUNS, random)}.js:${whole(900, random)}:${
      whole(80, random)
    })`,
  (_time, random) =>
    `-rw-r--r--  1 app  staff  ${String(whole(1e6, random)).padStart(8)} Nov ${
      1 + whole(28, random)
    } 10:${10 + whole(49, random)} ${pick(NOUNS, random)}_${whole(99, random)}.ts`,
  (_time, random) => `${hex(40, random)}  ./${pick(NOUNS, random)}/${pick(VERBS, random)}.tar.gz`,
];

function log(length: number, random: Random): string {
  const lines: string[] = [];
  // A program's output has one or two kinds of lines.
  const kinds = [pick(LOG_LINES, random), pick(LOG_LINES, random)];
  for (let size = 0; size < length; size += lines.at(-1)?.length ?? 0) {
    const time = new Date(1_795_000_000_000 + whole(1e9, random)).toISOString();
    lines.push(pick(kinds, random)(time, random));
  }
  return lines.join("\n");
}

/** Topics of conversations. */
const TOPICS: Readonly<Record<string, (length: number, random: Random) => string>> = {
  English: prose(ENGLISH),
  German: prose(GERMAN),
  Spanish: prose(SPANISH),
  Russian: prose(RUSSIAN),
  Chinese: prose(CHINESE),
  Japanese: prose(JAPANESE),
  code,
  json,
  log,
};
const PROSE = ["English", "German", "Spanish", "Russian", "Chinese", "Japanese"];
/** Scripts whose characters take more tokens. */
const DENSE: ReadonlySet<string> = new Set(["Chinese", "Japanese"]);

/** A conversation before it is sent. */
export interface Conversation {
  /** Its language, and what else it contains. */
  readonly topics: readonly string[];
  readonly system: Message;
  /** Each turn begins with a user message and ends with its answer. */
  readonly turns: readonly (readonly Message[])[];
  readonly contextLength: number;
}

const CONTEXT_LENGTHS = [4096, 8192, 16384, 32768];
/** A PNG of one pixel. */
const IMAGE =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=";

/** Number of texts per topic and length; more would only take longer to tokenize. */
const TEXTS = 24;
/** Lengths that count as equal. */
const LENGTH_STEP = 1.5;

/** Conversations, each at least half as long again as its context. */
export class ConversationMaker {
  readonly #random: Random;
  readonly #texts = new Map<string, string[]>();

  constructor(seed: number) {
    this.#random = randomOf(seed);
  }

  next(): Conversation {
    const random = this.#random;
    const contextLength = pick(CONTEXT_LENGTHS, random);
    const language = pick(PROSE, random);
    const second = pick(["code", "json", "log", "image", pick(PROSE, random)], random);
    const share = random();
    // What people type does not grow with the context; pasted text and tool results do, somewhat.
    const scale = Math.sqrt(contextLength / 4096);
    const turns: Message[][] = [];
    let tokens = 0;
    const text = (topic: string, length: number): string => {
      const written = this.#text(topic, length);
      // Measured with a tokenizer that is good at it: others need more tokens.
      tokens += DENSE.has(topic) ? written.length / 1.4 : written.length / 4.5;
      return written;
    };
    while (tokens < contextLength * 1.5) {
      const topic = random() < share ? language : second;
      const question = text(language, 40 + whole(160, random));
      const user: Message = { role: "user", content: question };
      if (topic === "image") {
        turns.push([random() < 0.5 ? user : showing(question), {
          role: "assistant",
          content: text(language, 80 + whole(400 * scale, random)),
        }]);
      } else if (topic === "log" || topic === "json") {
        const rounds = Array.from({ length: 1 + whole(4, random) }, (_, round) => {
          const id = `call_${turns.length}_${round}`;
          return toolRound(id, text(topic, 60 + whole(500 * scale, random)), random);
        });
        const content = text(language, 80 + whole(300, random));
        turns.push([user, ...rounds.flat(), { role: "assistant", content }]);
      } else {
        const content = text(topic, 80 + whole(400 * scale, random));
        turns.push([user, { role: "assistant", content }]);
      }
    }
    return { topics: [language, second], system: SYSTEM, turns, contextLength };
  }

  #text(topic: string, length: number): string {
    const step = Math.round(Math.log(length) / Math.log(LENGTH_STEP));
    const key = `${topic} ${step}`;
    const texts = this.#texts.get(key) ?? [];
    this.#texts.set(key, texts);
    const wanted = whole(TEXTS, this.#random);
    const known = texts[wanted];
    if (known !== undefined) return known;
    const characters = LENGTH_STEP ** step / (DENSE.has(topic) ? 3 : 1);
    const written = TOPICS[topic]?.(characters, this.#random) ?? "";
    texts.push(written);
    return written;
  }
}

const SYSTEM: Message = {
  role: "system",
  content: `You are a careful assistant. ${ENGLISH.sentences.at(-1)}`,
};

function showing(question: string): Message {
  return {
    role: "user",
    content: [{ type: "text", text: question }, { type: "image", image: IMAGE }],
  };
}

function toolRound(id: string, content: string, random: Random): Message[] {
  const written = JSON.stringify({
    path: `src/${pick(NOUNS, random)}.ts`,
    limit: whole(99, random),
  });
  return [
    { role: "assistant", content: "", toolCalls: [{ id, name: "read_file", arguments: written }] },
    { role: "tool", toolCallId: id, content },
  ];
}
