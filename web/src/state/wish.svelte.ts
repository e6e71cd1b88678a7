// What the form of the planner says, and what came of it. Kept while other views are open.
import { problemOf } from '../api/client';
import type { Itinerary, Journey, Model, Offer, Preference, Problem } from '../api/types';
import { Booking } from './booking.svelte';
import { live } from './live.svelte';
import { recall, remember } from './memory';
import { settings } from './settings.svelte';

const ALTERNATIVES = 3;
/** Who leaves now is on the road a little later: windows that have begun cannot be booked. */
const LEAVE_AFTER_MS = 10 * 60_000;

class Wish {
  from = $state('');
  to = $state('');
  model = $state(recall('model') ?? 'byd-dolphin-plus');
  vehicle = $state(settings.vehicle);
  battery = $state(80);
  leavesLater = $state(false);
  departure = $state('');
  preference = $state<Preference>('mais_rapida');

  models = $state.raw<Model[]>([]);
  isAsking = $state(false);
  problem = $state<Problem>();
  itineraries = $state.raw<Itinerary[]>([]);
  offers = $state.raw<Offer[]>([]);
  chosen = $state(0);
  /** What was asked for the itineraries that are shown. */
  asked = $state.raw<Journey>();
  booking = $state<Booking>();

  async readModels(): Promise<void> {
    if (this.models.length > 0) return;
    // Whoever cannot be asked now is asked again: the view does so as soon as somebody answers.
    const models = await live
      .anyone()
      ?.api.models()
      .catch(() => undefined);
    if (!models) return;
    this.models = models;
    if (!this.models.some(({ modelo }) => modelo === this.model)) this.model = this.models[0]?.modelo ?? '';
  }

  async plan(): Promise<void> {
    const company = live.anyone();
    if (!company) return;
    this.isAsking = true;
    this.problem = undefined;
    this.itineraries = [];
    this.booking = undefined;
    remember('model', this.model);
    try {
      const journey = this.#journey();
      const plans = await company.api.plan(journey);
      this.asked = journey;
      this.itineraries = plans.roteiros;
      this.offers = plans.ofertas;
      this.chosen = 0;
    } catch (error) {
      this.problem = problemOf(error);
    } finally {
      this.isAsking = false;
    }
  }

  async book(itinerary: Itinerary, journey = this.asked): Promise<void> {
    if (!journey) return;
    remember('vehicle', this.vehicle);
    this.booking = new Booking(itinerary, journey, this.vehicle);
    await this.booking.run();
  }

  forget(): void {
    this.booking = undefined;
    this.itineraries = [];
    this.problem = undefined;
  }

  #journey(): Journey {
    const chosen = this.leavesLater && this.departure ? Date.parse(this.departure) : NaN;
    return {
      origem: this.from.trim(),
      destino: this.to.trim(),
      bateria_pct: this.battery,
      modelo: this.model,
      saida: new Date(Number.isNaN(chosen) ? Date.now() + LEAVE_AFTER_MS : chosen).toISOString(),
      preferencia: this.preference,
      alternativas: ALTERNATIVES,
    };
  }
}

export const wish = new Wish();
