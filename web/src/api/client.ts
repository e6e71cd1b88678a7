// Every call that the page makes, typed. A refusal is thrown as the problem document that the program sent.
import { follow, type Stream, type StreamOptions } from './stream';
import type {
  Availability,
  Booked,
  CalendarPoint,
  Car,
  Cars,
  Config,
  DemoAction,
  DemoCompany,
  Figures,
  History,
  Journey,
  ListedStation,
  Model,
  Plans,
  Point,
  Problem,
  Session,
  Trip,
  TripRequest,
  Vitals,
} from './types';

/** Of one list; 200,000 stations are more than anybody looks at. */
const PAGES_MAX = 100;
/** Long enough for a trip that waits for a company that has stopped. */
const PATIENCE_MS = 45_000;

export class Refusal extends Error {
  constructor(readonly problem: Problem) {
    super(problem.title);
  }
}

/** Whoever answers calls at some address. */
class Caller {
  constructor(
    readonly base: string,
    protected readonly token: () => string | null = () => null,
  ) {}

  /** Follows a stream of events; `path` is asked anew for each connection. */
  follow(path: () => string, options: Omit<StreamOptions, 'url' | 'headers'>): Stream {
    return follow({ ...options, url: () => this.base + path(), headers: () => this.headers() });
  }

  protected async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await this.send(method, path, body);
    const answer = await json(response);
    if (response.ok) return answer as T;
    throw new Refusal(isProblem(answer) ? answer : unknownProblem(response.status));
  }

  /** All pages of a list, but not without end. */
  protected async pages<T extends { proximo?: string }>(
    path: string,
    take: (page: T) => void,
  ): Promise<void> {
    let cursor: string | undefined;
    for (let page = 0; page < PAGES_MAX; page++) {
      const mark = path.includes('?') ? '&' : '?';
      const answer: T = await this.call<T>(
        'GET',
        cursor ? `${path}${mark}cursor=${encodeURIComponent(cursor)}` : path,
      );
      take(answer);
      cursor = answer.proximo;
      if (!cursor) return;
    }
  }

  private headers(): Record<string, string> {
    const token = this.token();
    return token ? { Authorization: `Bearer ${token}` } : {};
  }

  private async send(method: string, path: string, body?: unknown): Promise<Response> {
    try {
      return await fetch(this.base + path, {
        method,
        headers: {
          ...this.headers(),
          // Another site's page cannot send it: what changes something was asked for here.
          ...(method !== 'GET' && { 'X-Recarga-Painel': '1' }),
          ...(body !== undefined && { 'Content-Type': 'application/json' }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
    } catch {
      throw new Refusal(unreachable());
    }
  }
}

/** One company's program. `base` ends with a slash. */
export class Company extends Caller {
  config = () => this.call<Config>('GET', 'painel/config');
  models = async () => (await this.call<{ modelos: Model[] }>('GET', 'modelos')).modelos;

  /** The stations of all companies, as this one knows them, and what is free during a window. */
  async stations(from: number, to: number): Promise<ListedStation[]> {
    const all: ListedStation[] = [];
    await this.pages<{ estacoes: ListedStation[]; proximo?: string }>(
      `painel/estacoes?${period(from, to)}&limite=2000`,
      ({ estacoes }) => all.push(...estacoes),
    );
    return all;
  }

  /** One of them; `atual` says whether its company answers the one that is asked. */
  station = (company: string, id: string) =>
    this.call<{ atual?: boolean; pontos: Point[] }>(
      'GET',
      `painel/estacoes/${encodeURIComponent(company)}/${encodeURIComponent(id)}`,
    );

  /** What everybody may see: only its own, and one EVSE at a time. */
  async points(from: number, to: number): Promise<Point[]> {
    const all: Point[] = [];
    await this.pages<Availability>(`disponibilidade?${period(from, to)}&limite=500`, ({ pontos }) =>
      all.push(...pontos),
    );
    return all;
  }

  async cars(): Promise<Car[]> {
    const all: Car[] = [];
    await this.pages<Cars>('veiculos', ({ veiculos }) => all.push(...veiculos));
    return all;
  }

  plan = (journey: Journey) => this.call<Plans>('POST', 'viagens/planejar', journey);
  book = (request: TripRequest) => this.call<Trip>('POST', 'viagens', request);
  trip = (id: string) => this.call<Trip>('GET', `viagens/${encodeURIComponent(id)}`);
  cancel = (id: string) => this.call<Trip>('DELETE', `viagens/${encodeURIComponent(id)}`);
  /** Of one car, or the latest of all. */
  trips = async (vehicle?: string) => {
    const of = vehicle ? `&veiculo_id=${encodeURIComponent(vehicle)}` : '';
    return (await this.call<{ viagens: Trip[] }>('GET', `painel/viagens?limite=60${of}`)).viagens;
  };

  async calendar(from: number, to: number): Promise<CalendarPoint[]> {
    const all: CalendarPoint[] = [];
    await this.pages<{ pontos: CalendarPoint[]; proximo?: string }>(
      `painel/reservas?${period(from, to)}&limite=200`,
      ({ pontos }) => all.push(...pontos),
    );
    return all;
  }
  figures = (from: number, to: number) => this.call<Figures>('GET', `painel/numeros?${period(from, to)}`);
  sessions = async () => (await this.call<{ sessoes: Session[] }>('GET', 'painel/sessoes?limite=60')).sessoes;
  history = (session: string) => this.call<History>('GET', `painel/sessoes/${encodeURIComponent(session)}`);
  vitals = () => this.call<Vitals>('GET', 'painel/saude');
  setState = (point: string, estado: 'inoperante' | 'disponivel') =>
    this.call<{ afetadas: Booked[] }>('PUT', `pontos/${encodeURIComponent(point)}/estado`, { estado });
}

/** The demo, which can start and stop its companies. */
export class Demo extends Caller {
  companies = async () => (await this.call<{ empresas: DemoCompany[] }>('GET', 'demo/empresas')).empresas;
  act = (id: string, action: DemoAction) => this.call<DemoCompany>('POST', `demo/empresas/${id}/${action}`);
}

function period(from: number, to: number): string {
  return new URLSearchParams({
    de: new Date(from).toISOString(),
    ate: new Date(to).toISOString(),
  }).toString();
}

async function json(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch {
    return undefined;
  }
}

function isProblem(answer: unknown): answer is Problem {
  return typeof answer === 'object' && answer !== null && 'tipo' in answer && 'title' in answer;
}

/** The words are the page's own: the program was not there to say anything. */
export const UNREACHABLE = 'sem-resposta';

function unreachable(): Problem {
  return { tipo: UNREACHABLE, title: 'Sem resposta', status: 0 };
}

function unknownProblem(status: number): Problem {
  return { tipo: 'nao-reconhecido', title: `HTTP ${status}`, status };
}

/** What went wrong, whatever it was. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Refusal) return error.problem;
  return {
    tipo: 'nao-reconhecido',
    title: error instanceof Error ? error.message : String(error),
    status: 0,
  };
}
