CREATE TABLE "shop_show" (
    "id" bigserial PRIMARY KEY NOT NULL,
    "title" text NOT NULL,
    "capacity" integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE "shop_ticket" (
    "id" bigserial PRIMARY KEY NOT NULL,
    "show_id" bigint NOT NULL,
    "user_id" bigint NOT NULL,
    "status" text DEFAULT 'sold' NOT NULL
);
--> statement-breakpoint
ALTER TABLE "shop_ticket" ADD CONSTRAINT "shop_ticket_show_id_shop_show_id_fk" FOREIGN KEY ("show_id") REFERENCES "public"."shop_show"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "shop_ticket_show_id_idx" ON "shop_ticket" USING btree ("show_id");
